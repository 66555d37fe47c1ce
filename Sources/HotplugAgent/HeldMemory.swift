// SPDX-License-Identifier: Apache-2.0

import GuestMemory

/// Memory that is held on purpose: so that the kernel refuses to give a DIMM up, or runs out of memory in a hot-add.
///
/// Offlining a block fails at once with `EBUSY` when a page in it can neither be freed nor moved
/// (mm/page_isolation.c: `has_unmovable_pages`).
final class HeldMemory<System: AgentSystem> {
    private let system: System
    private var buffers: [KernelBuffer] = []
    /// Whose buffers /proc/self/pagemap tells the place of. Since 6.14 it passes over those of perf events: they are mapped by
    /// their frames' numbers (`map_range`, kernel/events/core.c; `VM_PFNMAP`, `pagemap_ops`, fs/proc/task_mmu.c).
    private var locatedSource = KernelBuffer.Source.perfEvent

    private static var bufferByteCount: UInt64 { 4 << 20 }
    /// The buffers of the last stretch to a size that is to stay free.
    private static var smallBufferByteCount: UInt64 { 256 << 10 }
    /// What stays free: a kernel that runs out kills, and there is only this process to kill.
    private static var reserveByteCount: UInt64 { 128 << 20 }

    init(system: System) {
        self.system = system
    }

    /// Allocates until some pages lie in a physical range, keeps the buffer that has them, and tells how many they are.
    ///
    /// So many bytes more are left alone as a load may want, which has freed them for now. Refused with `ENOMEM` when memory
    /// runs short before, and with the kernel's own error when it gives no more.
    func hold(_ range: Range<UInt64>, sparing spared: UInt64) throws(ActionRefusal) -> UInt64 {
        var elsewhere: [KernelBuffer] = []
        defer { for buffer in elsewhere { system.free(buffer) } }
        let reserve = Self.reserveByteCount + spared
        while takableByteCount >= reserve + Self.bufferByteCount {
            let buffer = try system.allocateKernelBuffer(byteCount: Self.bufferByteCount, from: locatedSource)
            let frames = frames(of: buffer)
            guard !frames.isEmpty || locatedSource == .packetSocket else {
                system.free(buffer)
                locatedSource = .packetSocket
                continue
            }
            let pages = UInt64(frames.count { range.contains($0) })
            if pages > 0 {
                buffers.append(buffer)
                return pages
            }
            elsewhere.append(buffer)
        }
        throw .outOfMemory
    }

    /// What is free where buffers can lie: a kernel whose memory is movable in the main has little else free.
    private var takableByteCount: UInt64 {
        let free = Meminfo.byteCount("MemFree:", system: system)
        return min(free, Zoneinfo.freeKernelByteCount(system: system) ?? free)
    }

    /// Allocates until no more than so many bytes are free in the zones of the kernel's own, and tells how many are.
    ///
    /// So many bytes more are left alone as a load may want. Refused with `ENOMEM` when memory runs short before, and what was
    /// taken by then stays held until ``release()``: the movable zone has to hold what else there is.
    func hold(allBut byteCount: UInt64, sparing spared: UInt64) throws(ActionRefusal) -> UInt64 {
        let reserve = Self.reserveByteCount + spared
        while true {
            guard let free = Zoneinfo.freeKernelByteCount(system: system) else { throw .invalid }
            if free <= byteCount { return free }
            guard Meminfo.byteCount("MemFree:", system: system) >= reserve + Self.bufferByteCount else {
                throw .outOfMemory
            }
            let size = free - byteCount >= 2 * Self.bufferByteCount ? Self.bufferByteCount : Self.smallBufferByteCount
            buffers.append(try system.allocateKernelBuffer(byteCount: size, from: .perfEvent))
        }
    }

    /// Gives everything back.
    func release() {
        for buffer in buffers { system.free(buffer) }
        buffers = []
    }

    /// Where the pages of a buffer lie, in bytes, as far as /proc/self/pagemap tells: a word for each page, its frame's number in
    /// the low 55 bits, bit 63 set when there is one (Documentation/admin-guide/mm/pagemap.rst).
    private func frames(of buffer: KernelBuffer) -> [UInt64] {
        let pageByteCount = system.pageByteCount
        guard pageByteCount > 0, let pagemap = system.open("/proc/self/pagemap", .read) else { return [] }
        defer { system.close(pagemap) }
        var frames: [UInt64] = []
        for index in 0..<buffer.byteCount / pageByteCount {
            let offset = (buffer.address / pageByteCount + index) * 8
            guard case .bytes(let word) = system.read(pagemap, at: offset, byteCount: 8), word.count == 8 else {
                continue
            }
            let entry = ByteOrder.native.number(in: word, at: 0, byteCount: 8)
            let frame = entry & ((1 << 55) - 1)
            guard entry >> 63 == 1, frame < UInt64.max / pageByteCount else { continue }
            frames.append(frame * pageByteCount)
        }
        return frames
    }
}
