// SPDX-License-Identifier: Apache-2.0

package import Foundation
import GuestMemory
import HarnessBasics
package import Libvirt
package import Plans
package import RunFixture
package import SystemPackage

/// A guest as a run asks for it.
package struct GuestConfiguration {
    package let cpu: DomainDescription.CPUModel
    package let cpuCount: Int
    package let bootMemoryByteCount: UInt64
    /// What the guest can grow to.
    package let maximumMemoryByteCount: UInt64
    /// The most that it has at once, should every unplug succeed: addresses that nothing is plugged to are no memory.
    package let mostMemoryByteCount: UInt64
    package let slotCount: Int
    package let kernel: URL
    package let initramfs: URL
    package let kernelCommandLine: String
    /// How many NUMA nodes share the boot memory.
    package let numaNodeCount: Int
    /// The largest page of the hashed page table; QEMU chooses if nil.
    package let hptPageByteCount: UInt64?
    /// Whether the hashed page table may be made anew in another size.
    package let hasHPTResizing: Bool
    /// What the guest's initramfs is made of, where it is to load a crash kernel; nil for the agent's alone.
    package let crashInitramfs: CrashInitramfs?
    /// What writes dumps in the dump-capture kernel, and the package that it comes from.
    package let dumpTools: [Plan.DumpTool: GuestTools.Tool]
    /// The size of the file through which dumps leave the guest; nil where the plan takes none.
    package let dumpAreaByteCount: UInt64?
    /// What a crash kernel is told.
    package let crashCommandLine: String
    /// The QEMU that runs it; libvirt chooses if nil.
    package var emulator: FilePath?

    /// How long the record's console may get, in bytes.
    package var consoleByteLimit = ConsoleKeeper.byteLimit

    /// The guest of a plan that has been resolved. Throws a usage error for a machine that cannot be.
    ///
    /// `tools` are those of a guest that loads a crash kernel; no other needs any.
    package init(_ plan: Plan, kernel: URL, initramfs: URL, tools: GuestTools? = nil) throws {
        let guest = plan.guest
        guard let cpu = guest.cpu.flatMap(DomainDescription.CPUModel.init), let memory = guest.memory else {
            throw HarnessError.usage("the plan names no CPU model or no memory")
        }
        let machine: Plan.Machine
        do throws(Plan.Machine.Impossible) {
            machine = try Plan.Machine(for: plan)
        } catch {
            throw HarnessError.usage(error.message)
        }
        self.cpu = cpu
        cpuCount = guest.vcpus ?? 1
        bootMemoryByteCount = memory
        maximumMemoryByteCount = machine.maximumMemory
        mostMemoryByteCount = memory + machine.mostPluggedMemory
        slotCount = machine.slots
        numaNodeCount = guest.numaNodes ?? 1
        hptPageByteCount = guest.hptPageSize
        self.kernel = kernel
        self.initramfs = initramfs
        hasHPTResizing = guest.hptResizing ?? true
        let crashKernel = guest.crashKernel.map { "crashkernel=\($0 >> 20)M" }
        dumpTools = tools?.dump ?? [:]
        dumpAreaByteCount = guest.dumpArea
        kernelCommandLine = [Self.ownCommandLine, crashKernel, guest.append].compactMap { $0 }.joined(separator: " ")
        // One processor will do, and takes less memory.
        crashCommandLine = ["console=hvc0 cryptomgr.notests panic=-1 nr_cpus=1", guest.append].compactMap { $0 }
            .joined(separator: " ")
        if crashKernel != nil {
            guard let tools else { throw HarnessError.usage("a guest that loads a crash kernel needs kexec") }
            // In the order of their names, so that equal guests have equal initramfs.
            let archives = tools.dump.sorted { $0.key.rawValue < $1.key.rawValue }.map(\.value.archive)
            crashInitramfs = CrashInitramfs(
                agent: initramfs, kexec: tools.kexec.archive, dumpTools: archives, kernel: kernel)
        } else {
            crashInitramfs = nil
        }
    }

    /// What the agent's event source needs: pointers in the log as they are, the agent's markers unthrottled, and a log
    /// that holds the messages of a large plug. A panic ends the guest at once. The ciphers' self-tests are a third of the time
    /// to init, and nothing here has to do with ciphers.
    private static let ownCommandLine =
        "console=hvc0 no_hash_pointers printk.devkmsg=on log_buf_len=16M cryptomgr.notests panic=-1"

    /// The size of the region that host and guest share.
    package var sharedRegionByteCount: UInt64 {
        SharedRegionLayout.regionByteCount(maximumMemoryByteCount: maximumMemoryByteCount)
    }

    /// What the guest puts into the shared region's file at most, as long as its agent is the one that is built here.
    package var usedRegionByteCount: UInt64 { SharedRegionLayout.usedByteCount(memoryByteCount: mostMemoryByteCount) }

    /// What the run puts into files of memory at most, all of them together: memory that the guest never touches takes
    /// nothing.
    package var sharedMemoryByteCount: UInt64 { memoryDemand.guestByteCount + memoryDemand.sharedByteCount }

    /// The same, by where it lies.
    package var memoryDemand: MemoryDemand {
        MemoryDemand(
            guestByteCount: mostMemoryByteCount, sharedByteCount: usedRegionByteCount + (dumpAreaByteCount ?? 0))
    }

    /// What the domain can grow to: QEMU requires room behind the boot memory for the slot that libvirt requires, also when
    /// nothing is to be plugged.
    private var domainMaximumMemoryByteCount: UInt64 {
        max(maximumMemoryByteCount, bootMemoryByteCount + LMB.byteCount)
    }

    /// The addresses for plugged memory, with nothing in them.
    var deviceMemory: DeviceMemory {
        DeviceMemory(bootMemory: bootMemoryByteCount, maximumMemory: domainMaximumMemoryByteCount)
    }

    /// The domain for libvirt, with the names that its files have on a host.
    package func domain(on host: any GuestHost, console: FilePath) -> DomainDescription {
        var description = domain(
            name: host.id.name, console: console, control: host.controlSocket, sharedName: host.id.sharedRegionName,
            dumpName: host.id.dumpAreaName)
        if crashInitramfs != nil { description.initialRAMDisk = host.id.initramfsFile }
        return description
    }

    /// The domain for libvirt, with names for its files.
    package func domain(
        name: String, console: FilePath, control: FilePath, sharedName: String, dumpName: String
    ) -> DomainDescription {
        var description = DomainDescription(
            name: name, cpuModel: cpu, bootMemoryByteCount: bootMemoryByteCount,
            maximumMemoryByteCount: domainMaximumMemoryByteCount, slotCount: slotCount, kernel: FilePath(kernel.path),
            initialRAMDisk: FilePath(initramfs.path), commandLine: kernelCommandLine, consoleLog: console,
            controlSocket: control,
            sharedMemory: [.init(name: sharedName, byteCount: sharedRegionByteCount)]
                + (dumpAreaByteCount.map { [.init(name: dumpName, byteCount: $0)] } ?? []))
        description.emulator = emulator
        description.cpuCount = cpuCount
        description.numaNodeCount = numaNodeCount
        description.hptPageByteCount = hptPageByteCount
        description.hasHPTResizing = hasHPTResizing
        return description
    }
}
