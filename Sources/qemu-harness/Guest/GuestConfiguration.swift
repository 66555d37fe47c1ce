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
    /// How many NUMA nodes share the boot memory.
    let numaNodeCount: Int
    /// The largest page of the hashed page table; QEMU chooses if nil.
    let hptPageByteCount: UInt64?

    static let lmbByteCount = PlanLimits.lmbByteCount
    /// `SPAPR_DEVICE_MEM_ALIGN`: plugged memory starts at the first multiple of this behind the boot memory.
    private static let deviceMemoryAlignment: UInt64 = 1 << 30

    /// What DIMMs a machine has to have room for.
    struct Plugs {
        /// The size of each that is ever plugged.
        var sizes: [UInt64]
        /// The most bytes that are plugged at once.
        var peakByteCount: UInt64
        /// The most that are plugged at once.
        var peakCount: Int
        /// The end of the highest that has a place of its own.
        var highestEnd: UInt64?

        /// All of them at once.
        init(_ sizes: [UInt64]) {
            self.sizes = sizes
            // What is too large is refused by itself.
            peakByteCount = sizes.reduce(0) { min($0, PlanLimits.memory) + min($1, PlanLimits.memory) }
            peakCount = sizes.count
        }
    }

    /// Checks the sizes and builds the kernel's command line.
    ///
    /// Throws a usage error that names the value and the limit.
    init(
        cpu: DomainDescription.CPUModel, cpuCount: Int, bootMemoryByteCount: UInt64, plugs: Plugs, kernel: URL,
        initramfs: URL, append: String, maximumMemoryByteCount: UInt64? = nil, slotCount: Int? = nil,
        numaNodeCount: Int = 1, hptPageByteCount: UInt64? = nil
    ) throws {
        try Self.check("--memory", bootMemoryByteCount)
        guard bootMemoryByteCount >= PlanLimits.leastMemory else {
            throw HarnessError.usage(
                "--memory \(ByteCount(bootMemoryByteCount).text) is less than 512 MiB, which the guest needs to boot")
        }
        for plug in plugs.sizes { try Self.check("--plug", plug) }
        var total = bootMemoryByteCount + plugs.peakByteCount
        if let end = plugs.highestEnd {
            total = try max(total, bootMemoryByteCount + Self.room(end, bootMemoryByteCount))
        }
        guard total <= PlanLimits.memory else {
            throw HarnessError.usage(
                "boot memory and plugs add up to more than \(ByteCount(PlanLimits.memory).text), the limit here")
        }
        if let maximumMemoryByteCount, maximumMemoryByteCount < total {
            throw HarnessError.usage(
                "the maximum of \(ByteCount(maximumMemoryByteCount).text) is less than boot memory and plugs need, which "
                    + "is \(ByteCount(total).text)")
        }
        let slotLimit = slotCount ?? PlanLimits.slots
        guard plugs.peakCount <= slotLimit else {
            throw HarnessError.usage(
                "\(plugs.peakCount) DIMMs are to be plugged; the machine has \(slotLimit) slots under emulation")
        }
        guard 1...PlanLimits.vcpus ~= cpuCount else {
            throw HarnessError.usage("--vcpus \(cpuCount) is outside 1 to \(PlanLimits.vcpus)")
        }
        guard bootMemoryByteCount % (UInt64(numaNodeCount) * Self.lmbByteCount) == 0 else {
            throw HarnessError.usage(
                "memory of \(ByteCount(bootMemoryByteCount).text) cannot be shared by \(numaNodeCount) NUMA nodes in "
                    + "multiples of 256 MiB")
        }
        self.cpu = cpu
        self.cpuCount = cpuCount
        self.bootMemoryByteCount = bootMemoryByteCount
        self.maximumMemoryByteCount = maximumMemoryByteCount ?? total
        self.slotCount = slotCount ?? max(plugs.peakCount, 1)
        self.numaNodeCount = numaNodeCount
        self.hptPageByteCount = hptPageByteCount
        self.kernel = kernel
        self.initramfs = initramfs
        kernelCommandLine = [Self.ownCommandLine, append].filter { !$0.isEmpty }.joined(separator: " ")
    }

    /// How far plugged memory reaches that ends at an address; throws where it would begin inside the boot memory.
    private static func room(_ end: UInt64, _ bootMemoryByteCount: UInt64) throws -> UInt64 {
        let start = (bootMemoryByteCount + deviceMemoryAlignment - 1).alignedDown(to: deviceMemoryAlignment)
        guard end > start else {
            throw HarnessError.usage(
                "a DIMM is to end at \(ByteCount(end).text); plugged memory starts at \(ByteCount(start).text)")
        }
        return end - start
    }

    /// What the agent's event source needs: pointers in the log as they are, the agent's markers unthrottled, and a log
    /// that holds the messages of a large plug. A panic ends the guest at once.
    private static let ownCommandLine = "console=hvc0 no_hash_pointers printk.devkmsg=on log_buf_len=16M panic=-1"

    private static func check(_ option: String, _ byteCount: UInt64) throws {
        guard let problem = PlanLimits.problem(withMemory: byteCount) else { return }
        throw HarnessError.usage("\(option) \(problem)")
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
        description.numaNodeCount = numaNodeCount
        description.hptPageByteCount = hptPageByteCount
        return description
    }
}
