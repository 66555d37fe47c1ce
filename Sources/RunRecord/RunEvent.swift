// SPDX-License-Identifier: Apache-2.0

public import AgentProtocol
public import Verification

/// One thing that happened in a run.
public enum RunEvent: Equatable, Sendable {
    /// A step began; steps count from 1.
    case stepStarted(number: Int, title: String)
    /// A step ended.
    case stepEnded(StepResult)
    /// A step found something.
    case finding(Finding)
    /// The guest has settled every LMB of a DIMM that was plugged.
    case plugSettled(alias: String, base: UInt64, byteCount: UInt64, refusedLMBCount: Int)
    /// libvirt refuses to ask for a DIMM that the guest was asked for before, in its own words.
    case unplugPending(alias: String, message: String)
    /// An unplug has come to this.
    case unplugSettled(alias: String, UnplugResult)
    /// The agent has done something on request, or the kernel has refused it with this error; 0 when it did not.
    case actionSettled(action: String, errno: Int32)
    /// The guest is up again after a reboot, with so many DIMMs.
    case rebootSettled(dimmCount: Int)
    /// The run has ended; what went wrong with the harness itself, if something did.
    case runEnded(Outcome, error: String?)
    /// So many of the guest's events are not in `events.jsonl`, which had reached its limit.
    case eventsLeftOut(count: Int)
    /// About so many bytes of the console are not in `console.log`, which had reached its limit.
    case consoleLeftOut(byteCount: Int)
    /// Something that libvirt says of the machine.
    case machine(MachineEvent)
    /// What the agent saw: its number in the event ring, and microseconds since the guest booted; and how long after that
    /// the mirror had it, where it changed the mirror and that is known.
    case guest(AgentEvent, sequence: UInt64, microseconds: UInt64, lag: UInt64? = nil)
    /// The event ring holds an event of a kind that this program does not know.
    case unknownGuestEvent(kind: UInt64)
    /// The agent said something that nobody asked it for.
    case agentAnnounced(line: String)

    /// Whether a guest can make events of this kind: it has as many of them as it likes.
    var isGuests: Bool {
        switch self {
        case .machine, .guest, .unknownGuestEvent, .agentAnnounced: true
        case .stepStarted, .stepEnded, .finding, .plugSettled, .unplugPending, .unplugSettled, .actionSettled,
            .rebootSettled, .runEnded, .eventsLeftOut, .consoleLeftOut:
            false
        }
    }
}

/// What an unplug came to.
public enum UnplugResult: String, Sendable {
    /// The guest gave every LMB up, and the DIMM is gone.
    case removed
    /// The guest said no, and has taken back what it had given up already.
    case refused
    /// The guest has said nothing: the DIMM is still there, and its unplug pending.
    case silent
}

/// Something that happened to a guest's machine, by libvirt's account (`virDomainEventType`).
public enum MachineEvent: Equatable, Sendable {
    /// It started.
    case started
    /// Its CPUs stopped for a while.
    case paused
    /// Its CPUs go on.
    case resumed
    /// The guest has shut itself down.
    case shutDown
    /// The guest of QEMU has ended, in QEMU's own word for why (QAPI: `ShutdownCause`).
    case emulatorShutDown(reason: String)
    /// The guest's kernel panicked.
    case crashed
    /// It is gone.
    case stopped(StopReason)
    /// A device was plugged in.
    case deviceAdded(alias: String)
    /// The guest gave a device up, and it is gone.
    case deviceRemoved(alias: String)
    /// The guest refused to give a device up.
    case deviceRemovalFailed(alias: String)
    /// Another change of the life cycle, in libvirt's numbers.
    case other(event: Int32, detail: Int32)

    /// Why a machine stopped (`virDomainEventStoppedDetailType`).
    public enum StopReason: Equatable, Sendable {
        /// The guest shut itself down.
        case shutdown
        /// Somebody destroyed it.
        case destroyed
        /// The guest crashed.
        case crashed
        /// The hypervisor failed.
        case failed
        /// A reason that this program does not know, in libvirt's number.
        case unknown(Int32)
    }
}

extension KernelFault {
    /// As a finding of the guest's.
    public var finding: Finding.Fault {
        switch self {
        case .warning: .warning
        case .bug: .bug
        case .oops: .oops
        case .kasan: .kasan
        case .ubsan: .ubsan
        case .lockup: .lockup
        case .rcuStall: .rcuStall
        case .hungTask: .hungTask
        case .panic: .panic
        }
    }
}
