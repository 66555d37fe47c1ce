// SPDX-License-Identifier: Apache-2.0

/// A logical memory block, the unit in which pseries plugs and unplugs memory.
public enum LMB {
    /// Its size in bytes (hw/ppc/spapr.h: `SPAPR_MEMORY_BLOCK_SIZE`).
    public static var byteCount: UInt64 { 256 << 20 }

    /// The addresses of the LMBs in a range.
    public static func addresses(in range: Range<UInt64>) -> [UInt64] {
        Array(stride(from: range.lowerBound, to: range.upperBound, by: Int(byteCount)))
    }

    /// The index by which the guest names the LMB at an address: `SPAPR_DR_CONNECTOR_TYPE_LMB` and the LMB's number
    /// (hw/ppc/spapr_drc.c: `spapr_drc_index`).
    public static func drcIndex(of address: UInt64) -> UInt64 { 0x8000_0000 | address / byteCount }
}
