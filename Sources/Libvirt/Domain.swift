// SPDX-License-Identifier: Apache-2.0

internal import CLibvirt
internal import Foundation

/// A domain: one guest under libvirt (`virDomainPtr`).
@safe public final class Domain: @unchecked Sendable {
    // Set once, used by libvirt functions that lock for themselves, released in deinit: safe to share.
    let pointer: OpaquePointer
    let connection: Connection

    /// The domain's name.
    public let name: String
    /// The domain's UUID, lower-case with hyphens.
    public let uuid: String

    /// Takes over the caller's reference to the domain, and drops it if it throws.
    init(owning pointer: OpaquePointer, connection: Connection) throws(LibvirtError) {
        do throws(LibvirtError) {
            let name = unsafe try check("virDomainGetName", virDomainGetName(pointer))
            var uuid = [CChar](repeating: 0, count: Int(VIR_UUID_STRING_BUFLEN))
            // libvirt writes exactly VIR_UUID_STRING_BUFLEN bytes, the closing NUL included.
            unsafe try check("virDomainGetUUIDString", virDomainGetUUIDString(pointer, &uuid))
            self.name = unsafe String(cString: name)
            self.uuid = String(decoding: uuid.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        } catch {
            unsafe _ = virDomainFree(pointer)
            throw error
        }
        unsafe self.pointer = unsafe pointer
        self.connection = connection
    }

    deinit {
        // This object's own reference.
        unsafe _ = virDomainFree(pointer)
    }

    /// The domain as it is now, in libvirt's XML (`virDomainGetXMLDesc`).
    ///
    /// - Throws: `LibvirtError` if the domain is gone.
    public func liveXML() async throws -> String {
        try await blocking {
            let text = unsafe try check("virDomainGetXMLDesc", virDomainGetXMLDesc(self.pointer, 0))
            // A C string that libvirt allocated for us.
            defer { unsafe free(text) }
            return unsafe String(cString: text)
        }
    }

    /// Plugs a device into the running guest (`virDomainAttachDeviceFlags`).
    ///
    /// libvirt is done when QEMU has the device; the guest takes it in afterwards.
    ///
    /// - Parameter xml: The device, such as ``MemoryDevice/xml()`` gives it.
    /// - Throws: `LibvirtError` if libvirt or QEMU refuses.
    public func attachDevice(xml: String) async throws {
        unsafe try await call("virDomainAttachDeviceFlags") {
            unsafe virDomainAttachDeviceFlags($0, xml, VIR_DOMAIN_AFFECT_LIVE.rawValue)
        }
    }

    /// Asks the guest to give a device up (`virDomainDetachDeviceAlias`).
    ///
    /// The answer comes as ``DomainEvent/deviceRemoved(alias:)`` or ``DomainEvent/deviceRemovalFailed(alias:)``.
    ///
    /// - Throws: `LibvirtError` if there is no such device or QEMU refuses.
    public func detachDevice(alias: String) async throws {
        unsafe try await call("virDomainDetachDeviceAlias") {
            unsafe virDomainDetachDeviceAlias($0, alias, VIR_DOMAIN_AFFECT_LIVE.rawValue)
        }
    }

    /// Pauses the guest's CPUs (`virDomainSuspend`).
    ///
    /// - Throws: `LibvirtError` if the domain does not run.
    public func suspend() async throws {
        unsafe try await call("virDomainSuspend") { unsafe virDomainSuspend($0) }
    }

    /// Lets the guest's CPUs go on (`virDomainResume`).
    ///
    /// - Throws: `LibvirtError` if the domain is not there to resume.
    public func resume() async throws {
        unsafe try await call("virDomainResume") { unsafe virDomainResume($0) }
    }

    /// Ends the guest at once (`virDomainDestroy`).
    ///
    /// libvirt returns only when QEMU has been reaped. The embedded driver's is a child of this process, which has to do
    /// that meanwhile.
    ///
    /// - Throws: `LibvirtError` if the domain is gone already or QEMU does not die.
    public func destroy() async throws {
        unsafe try await call("virDomainDestroy") { unsafe virDomainDestroy($0) }
    }

    /// Injects an NMI into all of its CPUs (`virDomainInjectNMI`): on pseries a system reset, on which a kernel with a crash
    /// kernel crashes (`system_reset_exception`, arch/powerpc/kernel/traps.c).
    ///
    /// - Throws: `LibvirtError` if the domain is gone.
    public func injectNMI() async throws {
        unsafe try await call("virDomainInjectNMI") { unsafe virDomainInjectNMI($0, 0) }
    }

    /// Sets what becomes of the domain when its guest reboots (`virDomainSetLifecycleAction`).
    ///
    /// - Throws: `LibvirtError` if the domain is gone, or QEMU cannot change this while it runs.
    public func setRebootAction(_ action: RebootAction) async throws {
        let value = action == .restart ? VIR_DOMAIN_LIFECYCLE_ACTION_RESTART : VIR_DOMAIN_LIFECYCLE_ACTION_DESTROY
        unsafe try await call("virDomainSetLifecycleAction") {
            unsafe virDomainSetLifecycleAction(
                $0, VIR_DOMAIN_LIFECYCLE_REBOOT.rawValue, value.rawValue, VIR_DOMAIN_AFFECT_LIVE.rawValue)
        }
    }

    /// What the domain is doing (`virDomainGetState`).
    ///
    /// - Throws: `LibvirtError` if the domain is gone.
    public func state() async throws -> DomainState {
        try await blocking {
            var state: Int32 = 0
            unsafe try check("virDomainGetState", virDomainGetState(self.pointer, &state, nil, 0))
            return DomainState(rawValue: state)
        }
    }

    /// Gives QEMU's human monitor a command (`virDomainQemuMonitorCommand`).
    ///
    /// - Parameter hmp: The command, such as `info memdev`.
    /// - Returns: QEMU's answer, which is also how it says that it does not like the command.
    /// - Throws: `LibvirtError` if the domain is gone.
    public func monitor(hmp: String) async throws -> String {
        try await monitor(hmp, flags: VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP.rawValue)
    }

    /// Gives QEMU's monitor a command (`virDomainQemuMonitorCommand`).
    ///
    /// - Parameter qmp: The command, a JSON object.
    /// - Returns: QEMU's answer, a JSON object with `return` or `error`.
    /// - Throws: `LibvirtError` if the domain is gone, or the command is no JSON.
    public func monitor(qmp: String) async throws -> String {
        try await monitor(qmp, flags: VIR_DOMAIN_QEMU_MONITOR_COMMAND_DEFAULT.rawValue)
    }

    private func monitor(_ command: String, flags: UInt32) async throws -> String {
        try await blocking {
            var answer: UnsafeMutablePointer<CChar>?
            unsafe try check(
                "virDomainQemuMonitorCommand",
                virDomainQemuMonitorCommand(self.pointer, command, &answer, flags)
            )
            // A C string that libvirt allocated for us.
            defer { unsafe free(answer) }
            return unsafe answer.map { unsafe String(cString: $0) } ?? ""
        }
    }

    /// The version of the QEMU that runs this guest, in QEMU's words, such as `7.2.22Debian 1:7.2+dfsg-7`.
    ///
    /// - Throws: `LibvirtError` if the domain is gone.
    public func qemuVersion() async throws -> String {
        try await monitor(hmp: "info version").trimmingCharacters(in: .whitespacesAndNewlines)
    }

    func call(_ name: String, _ body: @escaping @Sendable (OpaquePointer) -> Int32) async throws {
        // The pointer lives as long as this object, which the closure holds.
        try await blocking { unsafe _ = try check(name, body(self.pointer)) }
    }
}

/// What becomes of a domain whose guest reboots (`virDomainLifecycleAction`).
public enum RebootAction: Equatable, Sendable {
    /// It ends.
    case destroy
    /// QEMU resets the machine, and the guest starts anew.
    case restart
}

/// What a domain is doing (`virDomainState`).
public enum DomainState: Equatable, Sendable {
    /// libvirt cannot say.
    case noState
    /// The guest's CPUs run.
    case running
    /// Waiting for a resource.
    case blocked
    /// The guest's CPUs stand still.
    case paused
    /// On its way down.
    case shuttingDown
    /// Not running.
    case shutOff
    /// The guest crashed.
    case crashed
    /// The guest put itself to sleep.
    case sleeping
    /// A state that this code does not know.
    case unknown(Int32)

    init(rawValue: Int32) {
        self =
            switch virDomainState(rawValue: UInt32(bitPattern: rawValue)) {
            case VIR_DOMAIN_NOSTATE: .noState
            case VIR_DOMAIN_RUNNING: .running
            case VIR_DOMAIN_BLOCKED: .blocked
            case VIR_DOMAIN_PAUSED: .paused
            case VIR_DOMAIN_SHUTDOWN: .shuttingDown
            case VIR_DOMAIN_SHUTOFF: .shutOff
            case VIR_DOMAIN_CRASHED: .crashed
            case VIR_DOMAIN_PMSUSPENDED: .sleeping
            default: .unknown(rawValue)
            }
    }
}
