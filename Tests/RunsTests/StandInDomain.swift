// SPDX-License-Identifier: Apache-2.0

import Foundation
import Guests
import HarnessBasics
import RunFixture
import SystemPackage

@testable import Libvirt

/// A domain as libvirt has it, with a stand-in machine behind it.
struct StandInDomain: GuestDomain {
    let machine: StandInMachine
    let name: String

    func events() async throws -> AsyncStream<DomainEvent> { machine.events }

    func exit() async throws -> QemuProcess.ExitStatus {
        while true {
            if let end = machine.end { return end }
            try await Task.sleep(for: .milliseconds(2))
        }
    }

    func kill() throws { machine.requestEnd(.destroyed) }

    /// Returns when the machine has ended, as `virDomainDestroy` does.
    func destroy() async throws {
        machine.requestEnd(.destroyed)
        _ = try await exit()
    }

    func isKnown() async -> Bool { machine.end == nil }

    func live() async throws -> LiveDomain {
        try checkRunning("virDomainGetXMLDesc")
        return try LiveDomain(xml: liveXML)
    }

    /// What libvirt writes of a domain's memory (`virDomainGetXMLDesc`): sizes in KiB, DIMMs counted in `<memory>`.
    private var liveXML: String {
        let (boot, dimms) = (machine.memory.bootByteCount >> 10, machine.memory.dimms)
        let devices = dimms.map { dimm in
            """
            <memory model='dimm'>
              <target><size unit='KiB'>\(dimm.device.byteCount >> 10)</size><node>\(dimm.device.node)</node></target>
              <alias name='\(dimm.device.alias)'/>
              <address type='dimm' slot='\(dimm.slot)' base='\(dimm.range.lowerBound.hexadecimal)'/>
            </memory>
            """
        }
        return """
            <domain id='1'>
              <name>\(name)</name>
              <os><type arch='ppc64'>hvm</type></os>
              <memory unit='KiB'>\(boot + dimms.reduce(0) { $0 + ($1.device.byteCount >> 10) })</memory>
              <cpu><numa><cell id='0' memory='\(boot)' unit='KiB'/></numa></cpu>
              <devices><emulator>/stand-in</emulator>\(devices.joined())</devices>
            </domain>
            """
    }

    func memoryFiles(of live: LiveDomain) async throws -> MemoryFiles {
        MemoryFiles(
            boot: [machine.memory.file(of: "boot")],
            dimms: Dictionary(uniqueKeysWithValues: live.dimms.map { ($0.alias, machine.memory.file(of: $0.alias)) }))
    }

    /// The DIMM is there when this returns; that the guest takes it, it tells itself.
    func attach(_ dimm: MemoryDevice) async throws {
        try checkRunning("virDomainAttachDeviceFlags")
        let range = try machine.memory.plug(dimm)
        machine.tell(.deviceAdded(alias: dimm.alias))
        machine.interrupt { [machine] kernel in
            if let ending = kernel.add(range) { machine.requestEnd(ending) }
        }
    }

    /// The guest is asked when this returns; the DIMM goes when it has given all of it up.
    func detach(alias: String) async throws {
        try checkRunning("virDomainDetachDeviceAlias")
        guard let dimm = machine.memory.dimms.first(where: { $0.device.alias == alias }) else {
            throw HarnessError.infrastructure("there is no device \(alias)")
        }
        machine.interrupt { [machine] kernel in
            guard kernel.remove(dimm.range) else { return machine.tell(.deviceRemovalFailed(alias: alias)) }
            try? machine.memory.unplug(alias)
            machine.tell(.deviceRemoved(alias: alias))
        }
    }

    func suspend() async throws {
        try checkRunning("virDomainSuspend")
        machine.setPaused(true)
    }

    func resume() async throws {
        try checkRunning("virDomainResume")
        machine.setPaused(false)
    }

    /// A system reset: the kernel crashes where it is.
    func injectNMI() async throws {
        try checkRunning("virDomainInjectNMI")
        machine.interrupt { $0.crash() }
    }

    func setRebootAction(_ action: RebootAction) async throws {}

    /// The commands with which QEMU's MMU is asked: a CPU in the kernel, with translation on.
    func monitor(hmp: String) async throws -> String {
        try await waitForMonitor()
        if hmp == "info registers" { return "NIP c000000000010000\r\nMSR 8000000000009033 HID0 0000000000000000\r\n" }
        guard hmp.hasPrefix("gva2gpa "), let address = UInt64(hexadecimal: hmp.dropFirst("gva2gpa ".count)) else {
            return "unknown command: '\(hmp)'\r\n"
        }
        return machine.mmu.translation(of: address).map { "gpa: \($0.hexadecimal)\r\n" } ?? "Unmapped\r\n"
    }

    /// The command that reads memory through QEMU's MMU.
    func monitor(qmp: String) async throws -> String {
        try await waitForMonitor()
        struct Command: Decodable {
            struct Arguments: Decodable {
                let val: Int64?
                let size: UInt64?
                let filename: String?
            }
            let execute: String
            let arguments: Arguments
        }
        let command = try JSONDecoder().decode(Command.self, from: Data(qmp.utf8))
        guard command.execute == "memsave", let address = command.arguments.val, let size = command.arguments.size,
            let file = command.arguments.filename, machine.savesMemory
        else { return #"{"error": {"desc": "nothing stands in for it"}}"# }
        var bytes: [UInt8] = []
        for offset in stride(from: 0, to: size, by: 4096) {
            guard let phys = machine.mmu.translation(of: UInt64(bitPattern: address) + offset) else {
                return #"{"error": {"desc": "Invalid addr 0x0/size 0 specified"}}"#
            }
            bytes += machine.memory.bytes(at: phys, byteCount: 4096)
        }
        try Data(bytes).write(to: URL(filePath: file))
        return #"{"return": {}}"#
    }

    func qemuVersion() async throws -> String { "no QEMU" }

    /// libvirt waits for an answer as long as QEMU is there, whatever becomes of the task that waits for libvirt.
    private func waitForMonitor() async throws {
        if !machine.answers { _ = await Task { try await exit() }.result }
        try checkRunning("virDomainQemuMonitorCommand")
    }

    /// libvirt's calls fail on a domain that has ended, before anybody is told of the end.
    private func checkRunning(_ call: String) throws {
        // VIR_ERR_OPERATION_INVALID, VIR_FROM_QEMU.
        guard machine.end == nil else {
            throw LibvirtError(code: 55, domain: 10, message: "domain is not running", call: call)
        }
    }
}
