// SPDX-License-Identifier: Apache-2.0

import GuestMemory
public import HarnessBasics

/// What is loaded for a crash, as the host found it in the guest's reservation: what the dump of a crash at this moment
/// would have.
public struct CrashHeaderSnapshot: Codable, Equatable, Sendable {
    /// Memory that the dump will have (`PT_LOAD`), or one of its notes (`PT_NOTE`). The words may be any.
    public struct Piece: Codable, Equatable, Sendable {
        /// `p_paddr`: the memory's physical address.
        @Hex public var physAddr: UInt64
        /// `p_offset`: where the capture kernel reads it; elsewhere for the first 64 KiB, which purgatory copies away.
        @Hex public var fileOffset: UInt64
        /// `p_memsz`.
        @Hex public var byteCount: UInt64
        /// `p_filesz`.
        @Hex public var fileByteCount: UInt64

        /// Makes a piece.
        public init(physAddr: UInt64, fileOffset: UInt64, byteCount: UInt64, fileByteCount: UInt64) {
            self.physAddr = physAddr
            self.fileOffset = fileOffset
            self.byteCount = byteCount
            self.fileByteCount = fileByteCount
        }
    }

    /// The crash kernel's ELF core header, and what its device tree says.
    public struct Header: Codable, Equatable, Sendable {
        /// Where the device tree is, a physical address.
        @Hex public var treeAddress: UInt64
        /// Where the ELF core header is, a physical address.
        @Hex public var address: UInt64
        /// The memory that the dump will have, in the header's order.
        public var loads: [Piece]
        /// The notes.
        public var notes: [Piece]
        /// `OSRELEASE` of the VMCOREINFO note among them; nil where no note is a whole one.
        public var noteRelease: String?
        /// `ibm,pft-size` of the device tree's CPUs: log2 of the hashed page table in bytes.
        public var hashTableOrders: [UInt64]

        /// Makes a header.
        public init(
            treeAddress: UInt64, address: UInt64, loads: [Piece], notes: [Piece], noteRelease: String?,
            hashTableOrders: [UInt64]
        ) {
            self.treeAddress = treeAddress
            self.address = address
            self.loads = loads
            self.notes = notes
            self.noteRelease = noteRelease
            self.hashTableOrders = hashTableOrders
        }

        /// How many pages the loads touch, each load's counted by itself; nil where a load's size cannot be.
        public func pageCount(pageByteCount: UInt64) -> UInt64? {
            var count: UInt64 = 0
            for load in loads where load.byteCount > 0 {
                let (end, overflows) = load.physAddr.addingReportingOverflow(load.byteCount)
                guard !overflows, end <= LinearMap.byteCount else { return nil }
                count += (end + pageByteCount - 1) / pageByteCount - load.physAddr / pageByteCount
            }
            return count
        }
    }

    /// Where the reservation begins, a physical address (`linux,crashkernel-base`).
    @Hex public var reservationBase: UInt64
    /// How many bytes are reserved (`linux,crashkernel-size`).
    public var reservationByteCount: UInt64
    /// The header; nil when it cannot be read.
    public var header: Header?
    /// Why it cannot be read.
    public var problem: String?
    /// log2 of the guest's real hashed page table in bytes; nil on radix and where nobody knows it.
    public var hashTableOrder: UInt64?

    /// The snapshot of a header.
    public init(reservation: Range<UInt64>, header: Header, hashTableOrder: UInt64? = nil) {
        self.init(reservation: reservation, header: header, problem: nil, hashTableOrder: hashTableOrder)
    }

    /// The snapshot of a reservation in which no header can be read.
    public init(reservation: Range<UInt64>, problem: String) {
        self.init(reservation: reservation, header: nil, problem: problem, hashTableOrder: nil)
    }

    private init(reservation: Range<UInt64>, header: Header?, problem: String?, hashTableOrder: UInt64?) {
        reservationBase = reservation.lowerBound
        reservationByteCount = reservation.upperBound - reservation.lowerBound
        self.header = header
        self.problem = problem
        self.hashTableOrder = hashTableOrder
    }

    /// The reservation's physical addresses. Valid in a snapshot whose constants were checked.
    var reservation: Range<UInt64> { reservationBase..<reservationBase + reservationByteCount }
}

extension Snapshot {
    /// The reservation has addresses, and there is a header or a reason, not both.
    func checkCrashHeader() throws(SnapshotProblem) {
        guard let crashHeader else { return }
        let (base, byteCount) = (crashHeader.reservationBase, crashHeader.reservationByteCount)
        guard !base.addingReportingOverflow(byteCount).overflow else {
            throw SnapshotProblem(
                field: "crashHeader.reservation", value: "ends at \(base.hexadecimal) + \(byteCount) bytes",
                limit: "at most 0xffffffffffffffff")
        }
        guard (crashHeader.header == nil) != (crashHeader.problem == nil) else {
            throw SnapshotProblem(
                field: "crashHeader", value: crashHeader.header == nil ? "has no header" : "has a header and a problem",
                limit: "either a header or a problem")
        }
        // e_phnum has 16 bits, and the last of its numbers another meaning.
        guard let header = crashHeader.header else { return }
        let places = [("address", header.address), ("treeAddress", header.treeAddress)]
        for (name, address) in places where !crashHeader.reservation.contains(address) {
            throw SnapshotProblem(
                field: "crashHeader.header.\(name)", value: "is \(address.hexadecimal)",
                limit: "in the reservation from \(base.hexadecimal) on")
        }
        guard header.noteRelease == nil || !header.notes.isEmpty else {
            throw SnapshotProblem(
                field: "crashHeader.header.noteRelease", value: "is there, and no note", limit: "what a note says")
        }
        let count = header.loads.count + header.notes.count
        guard count < 0xffff else {
            throw SnapshotProblem(
                field: "crashHeader.header", value: "has \(count) pieces", limit: "fewer than 65535")
        }
    }
}
