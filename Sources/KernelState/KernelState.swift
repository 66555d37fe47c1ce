// SPDX-License-Identifier: Apache-2.0

public import GuestMemory
public import VmemmapPopulate

/// What a kernel's memory says at a moment of what backs its memory map. Two are equal when nothing of that has changed
/// in between.
public struct KernelState: Equatable, Sendable {
    /// The sections that are present, ascending.
    public let sections: [MemorySection]
    /// Where the memory map is.
    public let memoryMap: MemoryMap
    /// `vmemmap_list`.
    public let list: ListWalk
    /// The nodes that the list does not have; nil where nothing tells of them.
    public let freeNodes: FreeNodes?
    /// The page tables over the memory map; nil on hash, where the kernel does not say where they are, and where there is no
    /// memory map.
    public let tables: RadixWalk?

    /// Puts a state together from its parts.
    public init(
        sections: [MemorySection], memoryMap: MemoryMap, list: ListWalk, freeNodes: FreeNodes? = nil, tables: RadixWalk?
    ) {
        self.sections = sections
        self.memoryMap = memoryMap
        self.list = list
        self.freeNodes = freeNodes
        self.tables = tables
    }

    /// Reads a kernel's state.
    ///
    /// - Parameters:
    ///   - kernel: its constants, with its MMU.
    ///   - memory: by effective address the kernel's linear map, by physical address the guest's memory.
    ///   - bounds: how far it is followed.
    /// - Throws: the first part that lies where no memory is. A damaged list or table is no error: the walk tells.
    @inlinable public init(
        of kernel: Kernel, in memory: borrowing some WordMemory & PhysicalMemory, within bounds: ReadingBounds
    ) throws(KernelReadError) {
        sections = try kernel.presentSections(in: memory, within: bounds)
        memoryMap = try kernel.memoryMap(of: sections, in: memory)
        list = try kernel.list(in: memory, within: bounds)
        freeNodes = kernel.freeNodes(in: memory, within: bounds)
        tables = kernel.memoryMapTables(of: memoryMap, in: memory, within: bounds)
    }
}
