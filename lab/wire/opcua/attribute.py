"""View, attribute and method services: looking around, reading, writing, calling (OPC 10000-4 sections 5.9 to 5.12)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from lab.wire.opcua.codec import NO_TIME, Boolean, ByteString, DateTime, Duration, String, UInt32
from lab.wire.opcua.common import AttributeId, NodeClass, Request, Response, TimestampsToReturn
from lab.wire.opcua.identifiers import NO_NAME, NULL_NODE, ExpandedNodeId, LocalizedText, NodeId, QualifiedName
from lab.wire.opcua.status import StatusCode
from lab.wire.opcua.structure import service, structure
from lab.wire.opcua.variant import DataValue, DiagnosticInfo, Variant


class BrowseDirection(IntEnum):
    FORWARD = 0
    INVERSE = 1
    BOTH = 2
    INVALID = 3


@structure
@dataclass(frozen=True, slots=True)
class ViewDescription:
    view_id: NodeId = NULL_NODE
    timestamp: DateTime = NO_TIME
    view_version: UInt32 = 0


@structure
@dataclass(frozen=True, slots=True)
class BrowseDescription:
    node_id: NodeId
    browse_direction: BrowseDirection
    reference_type_id: NodeId
    include_subtypes: Boolean
    node_class_mask: UInt32
    result_mask: UInt32


@structure
@dataclass(frozen=True, slots=True)
class ReferenceDescription:
    reference_type_id: NodeId
    is_forward: Boolean
    node_id: ExpandedNodeId
    browse_name: QualifiedName
    display_name: LocalizedText
    node_class: NodeClass
    type_definition: ExpandedNodeId


@structure
@dataclass(frozen=True, slots=True)
class BrowseResult:
    status: StatusCode
    continuation_point: ByteString
    """Where BrowseNext goes on; None or empty at the end."""
    references: tuple[ReferenceDescription, ...]


@service(527)
@dataclass(frozen=True, slots=True)
class BrowseRequest(Request):
    view: ViewDescription
    requested_max_references_per_node: UInt32
    nodes_to_browse: tuple[BrowseDescription, ...]


@service(530)
@dataclass(frozen=True, slots=True)
class BrowseResponse(Response):
    results: tuple[BrowseResult, ...]
    diagnostic_infos: tuple[DiagnosticInfo, ...]


@service(533)
@dataclass(frozen=True, slots=True)
class BrowseNextRequest(Request):
    release_continuation_points: Boolean
    continuation_points: tuple[ByteString, ...]


@service(536)
@dataclass(frozen=True, slots=True)
class BrowseNextResponse(Response):
    results: tuple[BrowseResult, ...]
    diagnostic_infos: tuple[DiagnosticInfo, ...]


@structure
@dataclass(frozen=True, slots=True)
class RelativePathElement:
    reference_type_id: NodeId
    is_inverse: Boolean
    include_subtypes: Boolean
    target_name: QualifiedName


@structure
@dataclass(frozen=True, slots=True)
class BrowsePath:
    starting_node: NodeId
    relative_path: tuple[RelativePathElement, ...]


@structure
@dataclass(frozen=True, slots=True)
class BrowsePathTarget:
    target_id: ExpandedNodeId
    remaining_path_index: UInt32


@structure
@dataclass(frozen=True, slots=True)
class BrowsePathResult:
    status: StatusCode
    targets: tuple[BrowsePathTarget, ...]


@service(554)
@dataclass(frozen=True, slots=True)
class TranslateBrowsePathsToNodeIdsRequest(Request):
    browse_paths: tuple[BrowsePath, ...]


@service(557)
@dataclass(frozen=True, slots=True)
class TranslateBrowsePathsToNodeIdsResponse(Response):
    results: tuple[BrowsePathResult, ...]
    diagnostic_infos: tuple[DiagnosticInfo, ...]


@structure
@dataclass(frozen=True, slots=True)
class ReadValueId:
    """What to read, or to monitor."""

    node_id: NodeId
    attribute_id: UInt32 = AttributeId.VALUE
    index_range: String = None
    data_encoding: QualifiedName = NO_NAME


@service(631)
@dataclass(frozen=True, slots=True)
class ReadRequest(Request):
    max_age: Duration
    timestamps_to_return: TimestampsToReturn
    nodes_to_read: tuple[ReadValueId, ...]


@service(634)
@dataclass(frozen=True, slots=True)
class ReadResponse(Response):
    results: tuple[DataValue, ...]
    diagnostic_infos: tuple[DiagnosticInfo, ...]


@structure
@dataclass(frozen=True, slots=True)
class WriteValue:
    node_id: NodeId
    attribute_id: UInt32
    index_range: String
    value: DataValue


@service(673)
@dataclass(frozen=True, slots=True)
class WriteRequest(Request):
    nodes_to_write: tuple[WriteValue, ...]


@service(676)
@dataclass(frozen=True, slots=True)
class WriteResponse(Response):
    results: tuple[StatusCode, ...]
    diagnostic_infos: tuple[DiagnosticInfo, ...]


@structure
@dataclass(frozen=True, slots=True)
class CallMethodRequest:
    object_id: NodeId
    method_id: NodeId
    input_arguments: tuple[Variant, ...]


@structure
@dataclass(frozen=True, slots=True)
class CallMethodResult:
    status: StatusCode
    input_argument_results: tuple[StatusCode, ...]
    input_argument_diagnostic_infos: tuple[DiagnosticInfo, ...]
    output_arguments: tuple[Variant, ...]


@service(712)
@dataclass(frozen=True, slots=True)
class CallRequest(Request):
    methods_to_call: tuple[CallMethodRequest, ...]


@service(715)
@dataclass(frozen=True, slots=True)
class CallResponse(Response):
    results: tuple[CallMethodResult, ...]
    diagnostic_infos: tuple[DiagnosticInfo, ...]
