// node-opcua's client for record.py: node node_client.js URL None|Sign|SignAndEncrypt FOLDER
const {
  AttributeIds, ClientMonitoredItem, ClientSubscription, DataChangeFilter, DataChangeTrigger, DataType, DeadbandType,
  MessageSecurityMode, OPCUAClient, SecurityPolicy, TimestampsToReturn, UserTokenType,
} = require("node-opcua-client");
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");

const [url, mode, folder] = process.argv.slice(2);

async function main() {
  const clientCertificateManager = new OPCUACertificateManager({ rootFolder: folder, automaticallyAcceptUnknownCertificate: true });
  const client = OPCUAClient.create({
    applicationName: "node", endpointMustExist: false, clientCertificateManager,
    securityMode: MessageSecurityMode[mode],
    securityPolicy: mode === "None" ? SecurityPolicy.None : SecurityPolicy.Basic256Sha256,
  });
  await client.connect(url);
  const session = await client.createSession({ type: UserTokenType.UserName, userName: "acq", password: "secret" });
  const value = await session.read({ nodeId: "ns=2;s=CNC01.SpindleSpeed" });
  await session.read({ nodeId: "ns=2;s=CNC01.没有" });
  await session.write({ nodeId: "ns=2;s=CNC01.SetSpeed", attributeId: AttributeIds.Value, value: { value: { dataType: DataType.Double, value: 1500.5 } } });
  await session.write({ nodeId: "ns=2;s=CNC01.SpindleSpeed", attributeId: AttributeIds.Value, value: { value: { dataType: DataType.Double, value: 1 } } });
  if (mode === "None") {
    await session.browse({ nodeId: "ns=2;s=CNC01", resultMask: 63 });
    await session.call({ objectId: "ns=2;s=CNC01", methodId: "ns=2;s=CNC01.Sum", inputArguments: [{ dataType: DataType.Int32, value: 20 }, { dataType: DataType.Int32, value: 22 }] });
  }
  const subscription = ClientSubscription.create(session, { requestedPublishingInterval: 100, requestedLifetimeCount: 100, requestedMaxKeepAliveCount: 3, maxNotificationsPerPublish: 100, publishingEnabled: true, priority: 7 });
  const filter = new DataChangeFilter({ trigger: DataChangeTrigger.StatusValue, deadbandType: DeadbandType.Absolute, deadbandValue: 0.5 });
  const item = ClientMonitoredItem.create(subscription, { nodeId: "ns=2;s=CNC01.PartCount", attributeId: AttributeIds.Value }, { samplingInterval: 100, discardOldest: true, queueSize: 10, filter }, TimestampsToReturn.Both);
  item.on("err", (message) => console.error("item:", message));
  await new Promise((resolve) => setTimeout(resolve, 1500));
  await subscription.terminate();
  await session.close();
  await client.disconnect();
  console.log(mode, value.toString());
}

main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
