"""Whose certificates an OPC UA server relies on, and how one that was refused is accepted."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from asyncua import Client, ua
from device_kit import Lab, in_lab
from opcua_kit import USERS, Application, refused
from pydantic import ValidationError

from devices.cnc_plc import CncPlcConfig

SECURED = ["None", "Basic256Sha256", "Aes256_Sha256_RsaPss"]


def state(client: Client) -> Any:
    return client.get_node("ns=2;s=CNC01.State").read_value()


async def visit(lab: Lab, application: Application, **options: Any) -> Any:
    async def do() -> Any:
        async with await application.client("acq", **options) as client:
            return await state(client)

    return await lab.from_pc(do)


async def trust(lab: Lab, *thumbprints: str, **more: Any) -> None:
    now = lab.device.config.model_dump()
    await lab.host.spawn(lab.device.apply(CncPlcConfig.model_validate({**now, "trusted": thumbprints, **more})))


@pytest.mark.parametrize("mode", [ua.MessageSecurityMode.Sign, ua.MessageSecurityMode.SignAndEncrypt])
@pytest.mark.parametrize("policy", ["Basic256Sha256", "Aes256_Sha256_RsaPss"])
def test_every_policy_works_with_a_user_and_a_password(policy: str, mode: ua.MessageSecurityMode) -> None:
    async def story(lab: Lab) -> None:
        assert await visit(lab, Application(), policy=policy, mode=mode) == lab.device.points()["state"]

    in_lab("cnc-plc", story, users=USERS, policies=SECURED)


def test_a_stranger_is_refused_remembered_and_accepted_by_its_thumbprint_while_others_stay_connected() -> None:
    friend, stranger = Application("friend"), Application("stranger")

    async def story(lab: Lab) -> None:
        async def stay() -> None:
            async with await friend.client("acq") as client:
                assert await refused(visit(lab, stranger)) == "BadSecurityChecksFailed"
                shown: Any = lab.device.status()["refused certificates"]
                assert shown == {stranger.thumbprint: "CN=stranger"}
                assert "CN=stranger" in lab.device.logs["security"].tail(1)[0]
                colons = ":".join(stranger.thumbprint.upper()[i : i + 2] for i in range(0, 40, 2))
                await trust(lab, friend.thumbprint, colons)
                await visit(lab, stranger)
                assert "refused certificates" not in lab.device.status()
                await state(client)

        await lab.from_pc(stay)
        # Whoever is taken off the list does not get in again.
        await trust(lab, friend.thumbprint)
        assert await refused(visit(lab, stranger)) == "BadSecurityChecksFailed"

    in_lab("cnc-plc", story, users=USERS, policies=SECURED, trusted=[friend.thumbprint])


@pytest.mark.parametrize(
    ("application", "code"),
    [
        (Application(until=datetime(2025, 12, 31, tzinfo=UTC)), "BadCertificateTimeInvalid"),
        (Application(since=datetime(2026, 1, 2, tzinfo=UTC)), "BadCertificateTimeInvalid"),
        (Application(uri="urn:somebody:else"), "BadCertificateUriInvalid"),
    ],
)
def test_a_certificate_that_is_not_valid_is_refused_by_the_plants_calendar(application: Application, code: str) -> None:
    async def story(lab: Lab) -> None:
        assert await refused(visit(lab, application)) == code
        assert lab.device.status()["sessions"] == 0

    in_lab("cnc-plc", story, users=USERS, policies=SECURED, trusted=[application.thumbprint])


def test_what_was_not_valid_yet_is_valid_when_its_day_comes() -> None:
    tomorrow = Application(since=datetime(2026, 1, 2, tzinfo=UTC))

    async def story(lab: Lab) -> None:
        assert await refused(visit(lab, tomorrow)) == "BadCertificateTimeInvalid"
        await lab.until(86_401)
        await visit(lab, tomorrow)

    in_lab("cnc-plc", story, users=USERS, policies=SECURED)


def test_a_certificate_of_others_is_no_use_without_their_key() -> None:
    friend, thief = Application("friend"), Application("thief")

    async def story(lab: Lab) -> None:
        async def steal() -> None:
            client = await thief.client("acq")
            # The channel is the thief's own; the session claims to be the friend's.
            client.security_policy.host_certificate = friend.der
            async with client:
                raise AssertionError("let in")

        with pytest.raises((ua.UaError, ConnectionError, TimeoutError)):
            await lab.from_pc(steal)
        assert lab.device.status()["sessions"] == 0

    in_lab("cnc-plc", story, users=USERS, policies=SECURED, trusted=[friend.thumbprint])


def test_refused_certificates_are_forgotten_when_there_are_too_many() -> None:
    from asyncua.common.utils import ServiceError

    from devices.opcua.trust import TrustList
    from lab.network.logbook import Log

    trusting = TrustList([], Log())
    for number in range(60):
        with pytest.raises(ServiceError):
            trusting.check(Application("one", until=datetime(2030, 1, 1 + number % 28, number // 28, tzinfo=UTC)).der)
    assert len(trusting.refused) == 50
    with pytest.raises(ServiceError):
        trusting.check(b"no certificate")


def test_a_thumbprint_that_is_none_is_told_so() -> None:
    with pytest.raises(ValidationError, match="thumbprint"):
        CncPlcConfig.model_validate({"trusted": ["12:34"]})
