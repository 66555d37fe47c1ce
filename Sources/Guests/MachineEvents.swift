// SPDX-License-Identifier: Apache-2.0

import Libvirt
import RunRecord

extension MachineEvent {
    /// libvirt's event as a run tells of it.
    init(_ event: DomainEvent) {
        self =
            switch event {
            case .started: .started
            case .suspended: .paused
            case .resumed: .resumed
            case .shutDown: .shutDown
            case .emulatorShutDown(let reason): .emulatorShutDown(reason: reason)
            case .crashed: .crashed
            case .stopped(let reason): .stopped(StopReason(reason))
            case .deviceAdded(let alias): .deviceAdded(alias: alias)
            case .deviceRemoved(let alias): .deviceRemoved(alias: alias)
            case .deviceRemovalFailed(let alias): .deviceRemovalFailed(alias: alias)
            case .other(let event, let detail): .other(event: event, detail: detail)
            }
    }
}

extension MachineEvent.StopReason {
    fileprivate init(_ reason: DomainEvent.StopReason) {
        self =
            switch reason {
            case .shutdown: .shutdown
            case .destroyed: .destroyed
            case .crashed: .crashed
            case .failed: .failed
            case .unknown(let detail): .unknown(detail)
            }
    }
}
