"""Subscription and monitored item services (OPC 10000-4 sections 5.13 and 5.14)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from lab.wire.opcua.attribute import ReadValueId
from lab.wire.opcua.codec import Boolean, Byte, DateTime, Double, Duration, String, UInt32
from lab.wire.opcua.common import Request, Response, TimestampsToReturn
from lab.wire.opcua.identifiers import NodeId, QualifiedName
from lab.wire.opcua.status import StatusCode
from lab.wire.opcua.structure import extension, service, structure
from lab.wire.opcua.variant import DataValue, DiagnosticInfo, Extension, Variant


class MonitoringMode(IntEnum):
    DISABLED = 0
    SAMPLING = 1
    REPORTING = 2


class DataChangeTrigger(IntEnum):
    STATUS = 0
    STATUS_VALUE = 1
    STATUS_VALUE_TIMESTAMP = 2


class DeadbandType(IntEnum):
    NONE = 0
    ABSOLUTE = 1
    PERCENT = 2


class FilterOperator(IntEnum):
    """OPC 10000-4 section 7.7.3."""

    EQUALS = 0
    IS_NULL = 1
    GREATER_THAN = 2
    LESS_THAN = 3
    GREATER_THAN_OR_EQUAL = 4
    LESS_THAN_OR_EQUAL = 5
    LIKE = 6
    NOT = 7
    BETWEEN = 8
    IN_LIST = 9
    AND = 10
    OR = 11
    CAST = 12
    IN_VIEW = 13
    OF_TYPE = 14
    RELATED_TO = 15
    BITWISE_AND = 16
    BITWISE_OR = 17


@service(787)
@dataclass(frozen=True, slots=True)
class CreateSubscriptionRequest(Request):
    requested_publishing_interval: Duration
    requested_lifetime_count: UInt32
    requested_max_keep_alive_count: UInt32
    max_notifications_per_publish: UInt32
    publishing_enabled: Boolean
    priority: Byte


@service(790)
@dataclass(frozen=True, slots=True)
class CreateSubscriptionResponse(Response):
    subscription_id: UInt32
    revised_publishing_interval: Duration
    revised_lifetime_count: UInt32
    revised_max_keep_alive_count: UInt32


@service(793)
@dataclass(frozen=True, slots=True)
class ModifySubscriptionRequest(Request):
    subscription_id: UInt32
    requested_publishing_interval: Duration
    requested_lifetime_count: UInt32
    requested_max_keep_alive_count: UInt32
    max_notifications_per_publish: UInt32
    priority: Byte


@service(796)
@dataclass(frozen=True, slots=True)
class ModifySubscriptionResponse(Response):
    revised_publishing_interval: Duration
    revised_lifetime_count: UInt32
    revised_max_keep_alive_count: UInt32


@service(799)
@dataclass(frozen=True, slots=True)
class SetPublishingModeRequest(Request):
    publishing_enabled: Boolean
    subscription_ids: tuple[UInt32, ...]


@service(802)
@dataclass(frozen=True, slots=True)
class SetPublishingModeResponse(Response):
    results: tuple[StatusCode, ...]
    diagnostic_infos: tuple[DiagnosticInfo, ...]


@service(847)
@dataclass(frozen=True, slots=True)
class DeleteSubscriptionsRequest(Request):
    subscription_ids: tuple[UInt32, ...]


@service(850)
@dataclass(frozen=True, slots=True)
class DeleteSubscriptionsResponse(Response):
    results: tuple[StatusCode, ...]
    diagnostic_infos: tuple[DiagnosticInfo, ...]


@extension(724)
@dataclass(frozen=True, slots=True)
class DataChangeFilter:
    trigger: DataChangeTrigger
    deadband_type: UInt32
    """A DeadbandType, where the standard has a name for it."""
    deadband_value: Double


@extension(603)
@dataclass(frozen=True, slots=True)
class SimpleAttributeOperand:
    type_definition_id: NodeId
    browse_path: tuple[QualifiedName, ...]
    attribute_id: UInt32
    index_range: String


@extension(597)
@dataclass(frozen=True, slots=True)
class LiteralOperand:
    value: Variant


@structure
@dataclass(frozen=True, slots=True)
class ContentFilterElement:
    filter_operator: FilterOperator
    filter_operands: tuple[Extension, ...]


@extension(727)
@dataclass(frozen=True, slots=True)
class EventFilter:
    select_clauses: tuple[SimpleAttributeOperand, ...]
    where_clause: tuple[ContentFilterElement, ...]


@structure
@dataclass(frozen=True, slots=True)
class MonitoringParameters:
    client_handle: UInt32
    sampling_interval: Duration
    filter: Extension
    queue_size: UInt32
    discard_oldest: Boolean


@structure
@dataclass(frozen=True, slots=True)
class MonitoredItemCreateRequest:
    item_to_monitor: ReadValueId
    monitoring_mode: MonitoringMode
    requested_parameters: MonitoringParameters


@structure
@dataclass(frozen=True, slots=True)
class MonitoredItemCreateResult:
    status: StatusCode
    monitored_item_id: UInt32
    revised_sampling_interval: Duration
    revised_queue_size: UInt32
    filter_result: Extension


@service(751)
@dataclass(frozen=True, slots=True)
class CreateMonitoredItemsRequest(Request):
    subscription_id: UInt32
    timestamps_to_return: TimestampsToReturn
    items_to_create: tuple[MonitoredItemCreateRequest, ...]


@service(754)
@dataclass(frozen=True, slots=True)
class CreateMonitoredItemsResponse(Response):
    results: tuple[MonitoredItemCreateResult, ...]
    diagnostic_infos: tuple[DiagnosticInfo, ...]


@service(781)
@dataclass(frozen=True, slots=True)
class DeleteMonitoredItemsRequest(Request):
    subscription_id: UInt32
    monitored_item_ids: tuple[UInt32, ...]


@service(784)
@dataclass(frozen=True, slots=True)
class DeleteMonitoredItemsResponse(Response):
    results: tuple[StatusCode, ...]
    diagnostic_infos: tuple[DiagnosticInfo, ...]


@structure
@dataclass(frozen=True, slots=True)
class SubscriptionAcknowledgement:
    subscription_id: UInt32
    sequence_number: UInt32


@service(826)
@dataclass(frozen=True, slots=True)
class PublishRequest(Request):
    subscription_acknowledgements: tuple[SubscriptionAcknowledgement, ...]


@structure
@dataclass(frozen=True, slots=True)
class MonitoredItemNotification:
    client_handle: UInt32
    value: DataValue


@extension(811)
@dataclass(frozen=True, slots=True)
class DataChangeNotification:
    monitored_items: tuple[MonitoredItemNotification, ...]
    diagnostic_infos: tuple[DiagnosticInfo, ...]


@structure
@dataclass(frozen=True, slots=True)
class EventFieldList:
    client_handle: UInt32
    event_fields: tuple[Variant, ...]
    """One for each select clause of the event filter."""


@extension(916)
@dataclass(frozen=True, slots=True)
class EventNotificationList:
    events: tuple[EventFieldList, ...]


@extension(820)
@dataclass(frozen=True, slots=True)
class StatusChangeNotification:
    status: StatusCode
    diagnostic_info: DiagnosticInfo


@structure
@dataclass(frozen=True, slots=True)
class NotificationMessage:
    sequence_number: UInt32
    publish_time: DateTime
    notification_data: tuple[Extension, ...]
    """Empty: the subscription is only being kept alive."""


@service(829)
@dataclass(frozen=True, slots=True)
class PublishResponse(Response):
    subscription_id: UInt32
    available_sequence_numbers: tuple[UInt32, ...]
    more_notifications: Boolean
    notification_message: NotificationMessage
    results: tuple[StatusCode, ...]
    diagnostic_infos: tuple[DiagnosticInfo, ...]


@service(832)
@dataclass(frozen=True, slots=True)
class RepublishRequest(Request):
    subscription_id: UInt32
    retransmit_sequence_number: UInt32


@service(835)
@dataclass(frozen=True, slots=True)
class RepublishResponse(Response):
    notification_message: NotificationMessage
