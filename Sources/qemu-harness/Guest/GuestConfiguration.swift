// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestMemory
import Libvirt
import Plans
import SystemPackage

/// A guest as a run asks for it, checked against what the machine can be.
struct GuestConfiguration {
    let cpu: DomainDescription.CPUModel
    let cpuCount: Int
    let bootMemoryByteCount: UInt64
    /// What the guest can grow to.
    let maximumMemoryByteCount: UInt64
    let slotCount: Int
    let kernel: URL
    let initramfs: URL
    let kernelCommandLine: String

    /// `SPAPR_MEMORY_BLOCK_SIZE` (include/hw/ppc/spapr.h): memory comes in LMBs of this size.
    static let lmbByteCount: UInt64 = 256 << 20
    /// `SPAPR_MAX_RAM_SLOTS` under emulation.
    static let slotLimit = 32
    /// What QEMU under emulation can map here without ado; a bound for the arithmetic, not a promise.
    private static let memoryLimit: UInt64 = 8 << 40

    /// Checks the sizes and builds the kernel's command line.
    ///
    /// Throws a usage error that names the value and the limit.
    init(
        cpu: DomainDescription.CPUModel, cpuCount: Int, bootMemoryByteCount: UInt64, plugs: [UInt64], kernel: URL,
        initramfs: URL, append: String
    ) throws {
        try Self.check("--memory", bootMemoryByteCount)
        guard bootMemoryByteCount >= 2 * Self.lmbByteCount else {
            throw HarnessError.usage(
                "--memory \(ByteCount(bootMemoryByteCount).text) is less than 512 MiB, which the guest needs to boot")
        }
        var total = bootMemoryByteCount
        for plug in plugs {
            try Self.check("--plug", plug)
            total += plug
            guard total <= Self.memoryLimit else {
                throw HarnessError.usage(
                    "boot memory and plugs add up to more than \(ByteCount(Self.memoryLimit).text), the limit here")
            }
        }
        guard plugs.count <= Self.slotLimit else {
            throw HarnessError.usage(
                "\(plugs.count) DIMMs are to be plugged; the machine has \(Self.slotLimit) slots under emulation")
        }
        guard 1...16 ~= cpuCount else {
            throw HarnessError.usage("--vcpus \(cpuCount) is outside 1 to 16")
        }
        self.cpu = cpu
        self.cpuCount = cpuCount
        self.bootMemoryByteCount = bootMemoryByteCount
        maximumMemoryByteCount = total
        slotCount = max(plugs.count, 1)
        self.kernel = kernel
        self.initramfs = initramfs
        kernelCommandLine = [Self.ownCommandLine, append].filter { !$0.isEmpty }.joined(separator: " ")
    }

    /// What the agent's event source needs: pointers in the log as they are, the agent's markers unthrottled, and a log
    /// that holds the messages of a large plug. A panic ends the guest at once.
    private static let ownCommandLine = "console=hvc0 no_hash_pointers printk.devkmsg=on log_buf_len=16M panic=-1"

    private static func check(_ option: String, _ byteCount: UInt64) throws {
        guard byteCount > 0, byteCount % lmbByteCount == 0 else {
            throw HarnessError.usage(
                "\(option) \(ByteCount(byteCount).text) is no multiple of 256 MiB, the LMB of a pseries machine")
        }
        guard byteCount <= memoryLimit else {
            throw HarnessError.usage(
                "\(option) \(ByteCount(byteCount).text) is more than \(ByteCount(memoryLimit).text), the limit here")
        }
    }

    /// The size of the region that host and guest share.
    var sharedRegionByteCount: UInt64 {
        SharedRegionLayout.regionByteCount(maximumMemoryByteCount: maximumMemoryByteCount)
    }

    /// What the run puts into shared memory at most: memory that the guest never touches takes nothing.
    var sharedMemoryByteCount: UInt64 { maximumMemoryByteCount + sharedRegionByteCount }

    /// The domain for libvirt.
    func domain(name: String, console: FilePath, control: FilePath, sharedName: String) -> DomainDescription {
        // QEMU wants room behind the boot memory for the slot that libvirt wants, also when nothing is to be plugged.
        let maximum = max(maximumMemoryByteCount, bootMemoryByteCount + Self.lmbByteCount)
        var description = DomainDescription(
            name: name, cpuModel: cpu, bootMemoryByteCount: bootMemoryByteCount,
            maximumMemoryByteCount: maximum, slotCount: slotCount, kernel: FilePath(kernel.path),
            initialRAMDisk: FilePath(initramfs.path), commandLine: kernelCommandLine, consoleLog: console,
            controlSocket: control,
            sharedMemory: .init(name: sharedName, byteCount: sharedRegionByteCount))
        description.cpuCount = cpuCount
        return description
    }
}
