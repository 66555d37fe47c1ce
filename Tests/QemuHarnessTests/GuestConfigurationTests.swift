// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestMemory
import Libvirt
import SystemPackage
import Testing

@testable import qemu_harness

@Suite struct GuestConfigurationTests {
    private static let gibibyte: UInt64 = 1 << 30

    private static func configuration(
        memory: UInt64 = gibibyte, plugs: [UInt64] = [gibibyte], cpuCount: Int = 1, append: String = ""
    ) throws -> GuestConfiguration {
        try GuestConfiguration(
            cpu: .power9, cpuCount: cpuCount, bootMemoryByteCount: memory, plugs: .init(plugs),
            kernel: URL(filePath: "/boot/vmlinux"), initramfs: URL(filePath: "/boot/initramfs"), append: append)
    }

    struct Refusal: Sendable, CustomTestStringConvertible {
        let message: String
        let make: @Sendable () throws -> GuestConfiguration

        init(_ message: String, _ make: @escaping @Sendable () throws -> GuestConfiguration) {
            self.message = message
            self.make = make
        }

        var testDescription: String { message }
    }

    static let refusals = [
        Refusal("--memory 300 MiB is no multiple of 256 MiB, the LMB of a pseries machine") {
            try configuration(memory: 300 << 20)
        },
        Refusal("--memory 0 bytes is no multiple of 256 MiB, the LMB of a pseries machine") {
            try configuration(memory: 0)
        },
        Refusal("--memory 256 MiB is less than 512 MiB, which the guest needs to boot") {
            try configuration(memory: 256 << 20)
        },
        Refusal("--memory 16 TiB is more than 8 TiB, the limit here") { try configuration(memory: 16 << 40) },
        Refusal("--memory 17592186044160 MiB is more than 8 TiB, the limit here") {
            try configuration(memory: 0 &- (256 << 20))
        },
        Refusal("--plug 100 MiB is no multiple of 256 MiB, the LMB of a pseries machine") {
            try configuration(plugs: [gibibyte, 100 << 20])
        },
        Refusal("--plug 0 bytes is no multiple of 256 MiB, the LMB of a pseries machine") {
            try configuration(plugs: [0])
        },
        Refusal("--plug 9 TiB is more than 8 TiB, the limit here") { try configuration(plugs: [9 << 40]) },
        Refusal("boot memory and plugs add up to more than 8 TiB, the limit here") {
            try configuration(plugs: [8 << 40])
        },
        Refusal("33 DIMMs are to be plugged; the machine has 32 slots under emulation") {
            try configuration(plugs: Array(repeating: gibibyte, count: 33))
        },
        Refusal("--vcpus 0 is outside 1 to 16") { try configuration(cpuCount: 0) },
        Refusal("--vcpus -1 is outside 1 to 16") { try configuration(cpuCount: -1) },
        Refusal("--vcpus 17 is outside 1 to 16") { try configuration(cpuCount: 17) },
    ]

    @Test(arguments: refusals) func refusesWithValueAndLimit(refusal: Refusal) {
        #expect(throws: HarnessError.usage(refusal.message)) { _ = try refusal.make() }
    }

    @Test func takesTheLimitsThemselves() throws {
        #expect(try Self.configuration(memory: 512 << 20).bootMemoryByteCount == 512 << 20)
        #expect(try Self.configuration(memory: 8 << 40, plugs: []).maximumMemoryByteCount == 8 << 40)
        #expect(try Self.configuration(cpuCount: 16).cpuCount == 16)
        let full = try Self.configuration(plugs: Array(repeating: 256 << 20, count: 32))
        #expect(full.slotCount == 32)
        #expect(full.maximumMemoryByteCount == 9 * Self.gibibyte)
    }

    private static func roomy(
        highestEnd: UInt64? = nil, maximum: UInt64? = nil, slotCount: Int? = nil, nodes: Int = 1
    ) throws -> GuestConfiguration {
        var plugs = GuestConfiguration.Plugs([gibibyte])
        plugs.highestEnd = highestEnd
        return try GuestConfiguration(
            cpu: .power9, cpuCount: 1, bootMemoryByteCount: 512 << 20, plugs: plugs,
            kernel: URL(filePath: "/boot/vmlinux"), initramfs: URL(filePath: "/boot/initramfs"), append: "",
            maximumMemoryByteCount: maximum, slotCount: slotCount, numaNodeCount: nodes)
    }

    @Test func makesRoomForDimmsThatHaveTheirPlace() throws {
        // Plugged memory starts at 1 GiB, whatever the boot memory's end.
        #expect(try Self.roomy(highestEnd: 4 << 30).maximumMemoryByteCount == 3584 << 20)
        #expect(try Self.roomy(highestEnd: 2 << 30).maximumMemoryByteCount == 1536 << 20)
        #expect(try Self.roomy(maximum: 8 << 30, slotCount: 4).maximumMemoryByteCount == 8 << 30)
        #expect(try Self.roomy(maximum: 8 << 30, slotCount: 4).slotCount == 4)
    }

    @Test func refusesWhatHasNoRoom() {
        #expect(throws: HarnessError.usage("a DIMM is to end at 1 GiB; plugged memory starts at 1 GiB")) {
            try Self.roomy(highestEnd: 1 << 30)
        }
        let maximum = "the maximum of 1 GiB is less than boot memory and plugs need, which is 1536 MiB"
        #expect(throws: HarnessError.usage(maximum)) { try Self.roomy(maximum: 1 << 30) }
        let nodes = "memory of 512 MiB cannot be shared by 3 NUMA nodes in multiples of 256 MiB"
        #expect(throws: HarnessError.usage(nodes)) { try Self.roomy(nodes: 3) }
    }

    @Test func describesTheDomain() throws {
        let guest = try Self.configuration(plugs: [Self.gibibyte, 2 * Self.gibibyte], cpuCount: 2, append: "quiet")
        let domain = guest.domain(name: "qh-1", console: "/c", control: "/s", sharedName: "qh-1.shared")
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
        #expect(domain.sharedMemory == .init(name: "qh-1.shared", byteCount: guest.sharedRegionByteCount))
        #expect(domain.commandLine.split(separator: " ").contains("no_hash_pointers"))
        #expect(domain.commandLine.hasSuffix(" quiet"))
        #expect(try !Self.configuration().kernelCommandLine.hasSuffix(" "))
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
