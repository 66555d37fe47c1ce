// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestMemory
import HarnessBasics
import Libvirt
import Plans
import RunFixture
import SystemPackage
import Testing

@testable import Guests

@Suite struct GuestConfigurationTests {
    private static let gibibyte: UInt64 = 1 << 30

    private static func configuration(
        memory: UInt64 = gibibyte, plugs: [UInt64] = [gibibyte], cpuCount: Int = 1, append: String? = nil
    ) throws -> GuestConfiguration {
        var plan = Plan(description: "d", steps: plugs.map { .plug(size: $0, node: nil, base: nil) })
        plan.guest.cpu = "POWER9"
        plan.guest.memory = memory
        plan.guest.vcpus = cpuCount
        plan.guest.append = append
        return try GuestConfiguration(
            plan, kernel: URL(filePath: "/boot/vmlinux"), initramfs: URL(filePath: "/boot/initramfs"))
    }

    @Test func refusesAMachineThatCannotBe() {
        let message = "33 DIMMs are plugged at once; the machine has 32 slots"
        #expect(throws: HarnessError.usage(message)) {
            try Self.configuration(plugs: Array(repeating: Self.gibibyte, count: 33))
        }
    }

    @Test func describesTheDomain() throws {
        let guest = try Self.configuration(plugs: [Self.gibibyte, 2 * Self.gibibyte], cpuCount: 2, append: "quiet")
        let domain = guest.domain(
            name: "qh-1", console: "/c", control: "/s", sharedName: "qh-1.shared", dumpName: "qh-1.dump")
        #expect(domain.name == "qh-1")
        #expect(domain.cpuModel == .power9)
        #expect(domain.cpuCount == 2)
        #expect(domain.bootMemoryByteCount == Self.gibibyte)
        #expect(domain.maximumMemoryByteCount == 4 * Self.gibibyte)
        #expect(domain.slotCount == 2)
        #expect(domain.kernel == "/boot/vmlinux")
        #expect(domain.initialRAMDisk == "/boot/initramfs")
        #expect(domain.consoleLog == "/c")
        #expect(domain.controlSocket == "/s")
        #expect(domain.sharedMemory == [.init(name: "qh-1.shared", byteCount: guest.sharedRegionByteCount)])
        #expect(domain.commandLine.split(separator: " ").contains("no_hash_pointers"))
        #expect(domain.commandLine.hasSuffix(" quiet"))
        #expect(try !Self.configuration().kernelCommandLine.hasSuffix(" "))
    }

    /// A guest that is to crash reserves memory, and its initramfs is the run's own.
    @Test func describesAGuestThatIsToCrash() throws {
        var plan = Plan(description: "d", steps: [.loadCrashKernel, .crash(), .dump(.makedumpfile)])
        (plan.guest.cpu, plan.guest.memory) = ("POWER8", 2 * Self.gibibyte)
        (plan.guest.crashKernel, plan.guest.hptResizing) = (512 << 20, false)
        plan.guest.append = "disable_radix"
        plan.guest.dumpArea = 64 << 20
        let (kernel, agent) = (URL(filePath: "/boot/vmlinux"), URL(filePath: "/boot/initramfs"))
        #expect(throws: HarnessError.usage("a guest that loads a crash kernel needs kexec")) {
            try GuestConfiguration(plan, kernel: kernel, initramfs: agent)
        }
        func tool(_ name: String) -> GuestTools.Tool { .init(archive: URL(filePath: "/\(name)"), package: name) }
        let tools = GuestTools(kexec: tool("kexec"), dump: [.makedumpfile: tool("makedumpfile")])
        let guest = try GuestConfiguration(plan, kernel: kernel, initramfs: agent, tools: tools)
        #expect(guest.kernelCommandLine.hasSuffix(" crashkernel=512M disable_radix"))
        #expect(guest.crashCommandLine.hasSuffix(" disable_radix"))
        #expect(!guest.crashCommandLine.contains("crashkernel="))
        #expect(guest.crashInitramfs?.kernel == kernel)
        #expect(guest.crashInitramfs?.dumpTools == [URL(filePath: "/makedumpfile")])
        let domain = guest.domain(
            name: "qh-1", console: "/c", control: "/s", sharedName: "qh-1.shared", dumpName: "qh-1.dump")
        #expect(!domain.hasHPTResizing)
        #expect(domain.sharedMemory.last == .init(name: "qh-1.dump", byteCount: 64 << 20))
        #expect(guest.memoryDemand.sharedByteCount == guest.usedRegionByteCount + 64 << 20)
        #expect(try Self.configuration().crashInitramfs == nil)
    }

    @Test func theSharedRegionHoldsTheListAtItsLargest() throws {
        for plugs: [UInt64] in [[], [Self.gibibyte], [255 * Self.gibibyte]] {
            let guest = try Self.configuration(plugs: plugs)
            #expect(guest.slotCount == 1)
            for pageByteCount: UInt64 in [4096, 65536] {
                let layout = try SharedRegionLayout(
                    regionByteCount: guest.sharedRegionByteCount, pageByteCount: pageByteCount)
                #expect(layout.nodeCapacity >= guest.maximumMemoryByteCount >> 30 * 4096)
            }
        }
    }
}
