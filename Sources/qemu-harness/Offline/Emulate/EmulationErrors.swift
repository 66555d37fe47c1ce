// SPDX-License-Identifier: Apache-2.0

import HarnessBasics
import VmemmapPopulate

extension PopulateError {
    /// What a person reads.
    var reason: String {
        switch self {
        case .outOfMemory: "no memory for the memory map (-ENOMEM)"
        case .mappingFailed(let virtAddr): "unable to create a vmemmap mapping at \(virtAddr.hexadecimal)"
        case .badRange, .storage: "\(self)"
        }
    }
}

extension HotplugError {
    /// What a person reads.
    var reason: String {
        func text(_ range: Range<UInt64>) -> String {
            "memory [\(range.lowerBound.hexadecimal), \(range.upperBound.hexadecimal))"
        }
        return switch self {
        case .unaligned(let range, let unit):
            "\(text(range)) is not made of whole \(unit == EmulatedLayout.sectionByteCount ? "sections" : "memory blocks")"
                + " of \(ByteCount(unit).text)"
        case .outOfReach(let range, let end):
            "\(text(range)) does not fit: this kernel's memory ends at \(ByteCount(end).text)"
                + (end == 61 << 40
                    ? ", since with 4 KiB pages on the hash MMU vmalloc begins at 61 TiB of a region of 64 TiB" : "")
        case .overlaps(let range): "\(text(range)) overlaps memory that is there"
        case .notPresent(let range): "\(text(range)) is not there"
        case .busy(let range): "\(text(range)) holds the kernel's own data"
        case .tooSmallForVmemmapPages: "a kernel takes 16 MiB vmemmap pages only with 1 GiB of memory at boot, or more"
        case .populate(let failure): failure.reason
        }
    }
}
