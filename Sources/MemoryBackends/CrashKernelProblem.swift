// SPDX-License-Identifier: Apache-2.0

public import GuestMemory
import HarnessBasics

/// Why no crash kernel can be read in a reservation.
public enum CrashKernelProblem: Error, Equatable, Sendable, CustomStringConvertible {
    /// The reservation is empty, or not inside one piece of memory.
    case reservationOutsideMemory(Range<UInt64>)
    /// There is no device tree.
    case noTree(searchedByteCount: UInt64)
    /// There are more than so many.
    case tooManyTrees(limit: Int)
    /// The device tree cannot be read.
    case tree(PhysicalAddress, FlattenedTreeProblem)
    /// The device tree's command line has no `elfcorehdr=`, or none that is an address.
    case noHeaderArgument(PhysicalAddress)
    /// The command line leads to a place that is not inside the reservation, or at no multiple of 8.
    case headerOutsideReservation(UInt64)
    /// The ELF core header cannot be read.
    case header(PhysicalAddress, ELFProblem)
    /// It is the header of another kind of file.
    case notACore(PhysicalAddress, type: UInt64, machine: UInt64)
    /// Its program headers are not inside the reservation.
    case tableOutsideReservation(PhysicalAddress, offset: UInt64, count: Int)
    /// It leads to more notes than any machine has.
    case tooManyNotes(Int)
    /// There are two crash kernels' device trees, and they say different things.
    case kernelsDiffer(PhysicalAddress, PhysicalAddress)

    /// What a person reads.
    public var description: String {
        switch self {
        case .reservationOutsideMemory(let range):
            "the reservation from \(range.lowerBound.hexadecimal) to \(range.upperBound.hexadecimal) is not in one piece of "
                + "memory"
        case .noTree(let byteCount): "no device tree in the \(byteCount >> 20) MiB that are reserved"
        case .tooManyTrees(let limit): "more than \(limit) device trees in the reservation"
        case .tree(let address, let problem):
            "the device tree at \(address.rawValue.hexadecimal) cannot be read: \(problem)"
        case .noHeaderArgument(let address):
            "the command line in the device tree at \(address.rawValue.hexadecimal) has no address for elfcorehdr="
        case .headerOutsideReservation(let address):
            "elfcorehdr= leads to \(address.hexadecimal), which is not in the reservation at a multiple of 8"
        case .header(let address, let problem):
            "the ELF core header at \(address.rawValue.hexadecimal) cannot be read: \(problem)"
        case .notACore(let address, let type, let machine):
            "the ELF header at \(address.rawValue.hexadecimal) is of type \(type) for machine \(machine), not a core of ppc64"
        case .tableOutsideReservation(let address, let offset, let count):
            "\(count) program headers at offset \(offset.hexadecimal) of the ELF core header at "
                + "\(address.rawValue.hexadecimal) are not in the reservation"
        case .tooManyNotes(let count):
            "the ELF core header has \(count) notes; at most \(CrashKernel.noteLimit) are read"
        case .kernelsDiffer(let first, let second):
            "two crash kernels differ: their device trees are at \(first.rawValue.hexadecimal) and "
                + "\(second.rawValue.hexadecimal)"
        }
    }
}
