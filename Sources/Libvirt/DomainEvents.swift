// SPDX-License-Identifier: Apache-2.0

internal import CLibvirt
internal import Foundation
internal import Synchronization

/// Something that happened to a domain.
public enum DomainEvent: Equatable, Sendable {
    /// The domain started.
    case started
    /// The guest's CPUs stopped for a while.
    case suspended
    /// The guest's CPUs go on.
    case resumed
    /// The guest has shut itself down; a stop follows.
    case shutDown
    /// QEMU's guest has ended, in QEMU's own word for why (`SHUTDOWN`, of QAPI's `ShutdownCause`): `guest-shutdown` where
    /// it switched itself off, `guest-reset` where it wanted to reboot and may not, and others. To libvirt both are
    /// ``shutDown``, and then it ends QEMU with a signal, which is one more of these events.
    case emulatorShutDown(reason: String)
    /// The guest crashed: its kernel panicked. A stop follows if the domain is destroyed on a crash.
    case crashed
    /// The domain is gone; the last event of a stream.
    case stopped(StopReason)
    /// A device was plugged in.
    case deviceAdded(alias: String)
    /// The guest gave a device up, and it is gone.
    case deviceRemoved(alias: String)
    /// The guest refused to give a device up.
    case deviceRemovalFailed(alias: String)
    /// Another change of the life cycle, in libvirt's numbers (`virDomainEventType` and its detail).
    case other(event: Int32, detail: Int32)

    /// Why a domain stopped (`virDomainEventStoppedDetailType`).
    public enum StopReason: Equatable, Sendable {
        /// The guest shut itself down.
        case shutdown
        /// Somebody destroyed the domain.
        case destroyed
        /// The guest crashed.
        case crashed
        /// The hypervisor failed, for example because QEMU died.
        case failed
        /// A reason that this code does not know.
        case unknown(Int32)
    }

    init(event: Int32, detail: Int32) {
        self =
            switch virDomainEventType(rawValue: UInt32(bitPattern: event)) {
            case VIR_DOMAIN_EVENT_STARTED: .started
            case VIR_DOMAIN_EVENT_SUSPENDED: .suspended
            case VIR_DOMAIN_EVENT_RESUMED: .resumed
            case VIR_DOMAIN_EVENT_SHUTDOWN: .shutDown
            case VIR_DOMAIN_EVENT_CRASHED: .crashed
            case VIR_DOMAIN_EVENT_STOPPED: .stopped(StopReason(detail: detail))
            default: .other(event: event, detail: detail)
            }
    }
}

extension DomainEvent.StopReason {
    init(detail: Int32) {
        self =
            switch virDomainEventStoppedDetailType(rawValue: UInt32(bitPattern: detail)) {
            case VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN: .shutdown
            case VIR_DOMAIN_EVENT_STOPPED_DESTROYED: .destroyed
            case VIR_DOMAIN_EVENT_STOPPED_CRASHED: .crashed
            case VIR_DOMAIN_EVENT_STOPPED_FAILED: .failed
            default: .unknown(detail)
            }
    }
}

extension Domain {
    /// What happens to the domain from now on, up to and including its stop (`virConnectDomainEventRegisterAny`).
    ///
    /// Dropping the stream, or cancelling the task that reads it, ends the subscription.
    ///
    /// - Throws: `LibvirtError` if libvirt refuses a subscription.
    public func events() async throws -> AsyncStream<DomainEvent> {
        let (stream, continuation) = AsyncStream.makeStream(of: DomainEvent.self)
        let subscription = Subscription(domain: self)
        continuation.onTermination = { _ in detached { subscription.end() } }
        do {
            try await blocking { try subscription.begin(Sink(continuation)) }
        } catch {
            continuation.finish()
            throw error
        }
        return stream
    }
}

/// What libvirt's callbacks are given to deliver to.
private final class Sink: Sendable {
    private let continuation: AsyncStream<DomainEvent>.Continuation

    init(_ continuation: AsyncStream<DomainEvent>.Continuation) {
        self.continuation = continuation
    }

    func deliver(_ event: DomainEvent) {
        continuation.yield(event)
        if case .stopped = event { continuation.finish() }
    }
}

/// The callbacks registered for one stream; each holds one reference to the sink, which libvirt frees through
/// `release` when the callback is deregistered.
private final class Subscription: Sendable {
    private struct State {
        var callbacks: [Int32] = []
        var monitorCallback: Int32?
        var ended = false
    }

    private let domain: Domain
    private let state = Mutex(State())

    init(domain: Domain) {
        self.domain = domain
    }

    /// Registers every callback; what is registered when one is refused goes with `end`.
    func begin(_ sink: Sink) throws {
        // libvirt's one function takes every kind of callback as the generic kind, and calls each as the kind it is.
        unsafe try register(VIR_DOMAIN_EVENT_ID_LIFECYCLE, unsafeBitCast(lifecycle, to: GenericCallback.self), sink)
        unsafe try register(VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, unsafeBitCast(added, to: GenericCallback.self), sink)
        unsafe try register(VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, unsafeBitCast(removed, to: GenericCallback.self), sink)
        unsafe try register(
            VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED,
            unsafeBitCast(removalFailed, to: GenericCallback.self),
            sink
        )
        try registerMonitorEvent(sink)
    }

    /// Registers for QEMU's own event, which drivers of other hypervisors do not have.
    private func registerMonitorEvent(_ sink: Sink) throws {
        try state.withLock { state in
            if state.ended { return }
            let opaque = unsafe Unmanaged.passRetained(sink)
            let number = unsafe virConnectDomainQemuMonitorEventRegister(
                domain.connection.pointer,
                domain.pointer,
                "SHUTDOWN",
                emulatorShutDown,
                opaque.toOpaque(),
                release,
                0
            )
            if number >= 0 {
                state.monitorCallback = number
                return
            }
            let error = LibvirtError.last("virConnectDomainQemuMonitorEventRegister")
            // A refused registration leaves the reference with us.
            unsafe opaque.release()
            if error.code != Int32(bitPattern: VIR_ERR_NO_SUPPORT.rawValue) { throw error }
        }
    }

    private func register(_ id: virDomainEventID, _ callback: GenericCallback, _ sink: Sink) throws {
        try state.withLock { state in
            if state.ended { return }
            let opaque = unsafe Unmanaged.passRetained(sink)
            let number = unsafe virConnectDomainEventRegisterAny(
                domain.connection.pointer,
                domain.pointer,
                Int32(bitPattern: id.rawValue),
                callback,
                opaque.toOpaque(),
                release
            )
            guard number >= 0 else {
                let error = LibvirtError.last("virConnectDomainEventRegisterAny")
                // A refused registration leaves the reference with us.
                unsafe opaque.release()
                throw error
            }
            state.callbacks.append(number)
        }
    }

    /// Deregisters every callback, once.
    func end() {
        let (callbacks, monitorCallback) = state.withLock { state in
            defer { state = State(ended: true) }
            return (state.callbacks, state.monitorCallback)
        }
        // These fail only when the connection is dead, and then libvirt has freed the callback itself.
        for callback in callbacks {
            unsafe _ = virConnectDomainEventDeregisterAny(domain.connection.pointer, callback)
        }
        if let monitorCallback {
            unsafe _ = virConnectDomainQemuMonitorEventDeregister(domain.connection.pointer, monitorCallback)
        }
    }
}

private typealias GenericCallback = @convention(c) (virConnectPtr?, virDomainPtr?, UnsafeMutableRawPointer?) -> Void

private func sink(_ opaque: UnsafeMutableRawPointer?) -> Sink? {
    // The reference that `register` gave to libvirt; libvirt calls no callback after freeing it.
    unsafe opaque.map { unsafe Unmanaged<Sink>.fromOpaque($0).takeUnretainedValue() }
}

private func text(_ string: UnsafePointer<CChar>?) -> String {
    // A C string that lives for the length of the callback.
    unsafe string.map { unsafe String(cString: $0) } ?? ""
}

/// A device's alias out of the event that announces it: for a DIMM libvirt gives the alias of the memory behind it.
func deviceAlias(_ announced: String) -> String {
    announced.hasPrefix("memua-") ? String(announced.dropFirst(3)) : announced
}

private let release: virFreeCallback = { opaque in
    if let opaque = unsafe opaque { unsafe Unmanaged<Sink>.fromOpaque(opaque).release() }
}

private let lifecycle: virConnectDomainEventCallback = { _, _, event, detail, opaque in
    unsafe sink(opaque)?.deliver(DomainEvent(event: event, detail: detail))
    return 0
}

private let added: virConnectDomainEventDeviceAddedCallback = { _, _, alias, opaque in
    unsafe sink(opaque)?.deliver(.deviceAdded(alias: deviceAlias(text(alias))))
}

private let removed: virConnectDomainEventDeviceRemovedCallback = { _, _, alias, opaque in
    unsafe sink(opaque)?.deliver(.deviceRemoved(alias: text(alias)))
}

private let removalFailed: virConnectDomainEventDeviceRemovalFailedCallback = { _, _, alias, opaque in
    unsafe sink(opaque)?.deliver(.deviceRemovalFailed(alias: text(alias)))
}

private let emulatorShutDown: virConnectDomainQemuMonitorEventCallback = { _, _, _, _, _, details, opaque in
    struct Details: Decodable { let reason: String }
    let reason = unsafe try? JSONDecoder().decode(Details.self, from: Data(text(details).utf8)).reason
    unsafe sink(opaque)?.deliver(.emulatorShutDown(reason: reason ?? "unknown"))
}
