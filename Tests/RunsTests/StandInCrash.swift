// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import TestGuests
import TestSupport

extension StandInKernel {
    /// What `crashkernel=` reserves, in the middle of the boot memory.
    static let reservation: Range<UInt64> = 512 << 20..<768 << 20

    /// Tells of the reservation, and takes what kexec loads into it.
    func reserveCrashMemory() {
        let chosen = "/proc/device-tree/chosen/linux,crashkernel-"
        guest.files[chosen + "base"] = bigEndian(Self.reservation.lowerBound, byteCount: 8)
        guest.files[chosen + "size"] = bigEndian(UInt64(Self.reservation.count), byteCount: 8)
        guest.written["/proc/sysrq-trigger"] = []
        guest.onStart = { [unowned self] guest, arguments in
            guard arguments.contains("-p") else { return }
            loadCrashKernel()
            guest.files["/sys/kernel/kexec_crash_loaded"] = Array("1\n".utf8)
        }
    }

    /// Dies of something that nobody asked its agent for.
    func crash() { guest.onCrash?(guest) }

    /// Puts a device tree and an ELF core header into the reservation, as kexec does, for the memory that there is now.
    private func loadCrashKernel() {
        let (tree, header) = (Self.reservation.lowerBound + 1 << 20, Self.reservation.lowerBound + 2 << 20)
        loads = [0..<Self.reservation.lowerBound, Self.reservation.upperBound..<memory.bootByteCount]
        var hasDIMMs = true
        if case .leavesDIMMsOutOfHeader = flaw { hasDIMMs = false }
        if hasDIMMs { loads += memory.dimms.map(\.range).sorted { $0.lowerBound < $1.lowerBound } }
        let note = FakeKernelMemory.note - LinearMap.base
        let noteByteCount = UInt64(SampleVmcoreinfo().note(order: .native).count)
        var core = SampleCoreHeader()
        core.order = .native
        core.pieces =
            [.init(type: 4, offset: note, physAddr: note, byteCount: noteByteCount)]
            + loads.map { .init(offset: $0.lowerBound, physAddr: $0.lowerBound, byteCount: UInt64($0.count)) }
        memory.store(core.bytes, at: header)
        var sample = SampleTree()
        sample.bootArguments = "console=hvc0 elfcorehdr=\(header >> 10)K"
        memory.store(sample.bytes, at: tree)
    }

    /// What the tool does that writes a dump there.
    var dumpTool: FakeGuest.Program {
        if case .dumps(let program) = flaw { return program }
        return FakeGuest.Program()
    }

    /// The dump that another kernel finds.
    var dump: FakeDump {
        var pieces = loads
        if case .losesMemory(let start) = flaw { pieces = pieces.filter { $0.upperBound <= start } }
        var note = SampleVmcoreinfo().note(order: .native)
        if case .losesNote = flaw { note = [] }
        return FakeDump(notes: note, loads: pieces)
    }
}
