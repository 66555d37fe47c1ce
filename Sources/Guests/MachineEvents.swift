// SPDX-License-Identifier: Apache-2.0

import Libvirt

extension DomainEvent {
    /// The event's name and words for the record.
    var recorded: (name: String, fields: [String: String]) {
        switch self {
        case .started: ("started", [:])
        case .suspended: ("paused", [:])
        case .resumed: ("resumed", [:])
        case .shutDown: ("shut-down", [:])
        case .emulatorShutDown(let reason): ("qemu-shut-down", ["reason": reason])
        case .crashed: ("crashed", [:])
        case .stopped(let reason): ("stopped", ["reason": reason.recorded])
        case .deviceAdded(let alias): ("device-added", ["alias": alias])
        case .deviceRemoved(let alias): ("device-removed", ["alias": alias])
        case .deviceRemovalFailed(let alias): ("device-removal-failed", ["alias": alias])
        case .other(let event, let detail): ("other", ["event": "\(event)", "detail": "\(detail)"])
        }
    }
}

extension DomainEvent.StopReason {
    fileprivate var recorded: String {
        switch self {
        case .shutdown: "shutdown"
        case .destroyed: "destroyed"
        case .crashed: "crashed"
        case .failed: "failed"
        case .unknown(let detail): "\(detail)"
        }
    }
}
