// SPDX-License-Identifier: Apache-2.0

import GuestMemory

/// Where `radix__vmemmap_populate` begins, and which empty PMD entries it takes a block for. It has changed twice, and
/// distributions take the changes back: a kernel's page tables tell, never its version.
///
/// With an altmap all three do the same: they begin at a whole page, and take a block only for a PMD entry to which they
/// come from its start and all of whose memory is the altmap's. Without one:
///
/// | rule | begins at | an empty PMD entry gets a block | without a block, or where a table is, base pages from |
/// |---|---|---|---|
/// | ``asGiven`` | `start` | always | `start` |
/// | ``pageAligned`` | `start`, at a whole page | when it is come to from its start | `start` |
/// | ``blockAligned`` | the PMD entry's start | always | the PMD entry's start |
public enum RadixStart: UInt64, CaseIterable, Sendable {
    /// 368a0590d954 (6.6): as it was called.
    case asGiven
    /// 9cf7e13fecba (6.15, and stable kernels before): at `ALIGN_DOWN(start, PAGE_SIZE)`.
    case pageAligned
    /// f5164797284d (6.17): at `ALIGN_DOWN(start, PMD_SIZE)` where there is no altmap. Base pages before `start` are taken
    /// back by nobody but a free of the memory that they describe, which may never come.
    case blockAligned

    /// The address at which a populate begins.
    func first(from start: UInt64, hasAltmap: Bool, pageByteCount: UInt64) -> UInt64 {
        // Two sections of a 64K kernel share a base page: a start that is none is in the page of the section before.
        start.alignedDown(to: self == .blockAligned && !hasAltmap ? EmulatedLayout.pmdByteCount : pageByteCount)
    }

    /// Whether a populate without an altmap asks for a block when it comes to an empty PMD entry at `address`.
    func takesBlock(at address: UInt64, pmd: UInt64) -> Bool {
        self != .pageAligned || address == pmd
    }
}
