// SPDX-License-Identifier: Apache-2.0

import CKdumpfile
import GuestMemory
import HarnessBasics
import SystemPackage

#if canImport(Glibc)
import Glibc
#endif

/// A compressed dump of makedumpfile's, read page by page with libkdumpfile.
@safe final class CompressedDump: DumpContent {
    private let context: OpaquePointer
    private let pages: OpaquePointer
    private let pageByteCount: UInt64
    let format: String
    let byteCount: UInt64
    var lack: String? { nil }
    let note: (info: Vmcoreinfo, order: ByteOrder)?

    /// The most pieces of memory that a note is looked for in.
    private static let extentLimit = 1 << 20

    /// Takes a file whose beginning is that of a compressed dump.
    init(_ descriptor: FileDescriptor) throws {
        // SAFETY: the context is freed in deinit, and lives as long as all that was asked of it. One that could not be opened
        // stays: to free it would read what the library has freed by then (0.5.1, seen with valgrind).
        guard let context = unsafe kdump_new() else { throw DumpFileProblem.library("no memory") }
        // A mapping of a file that ends early, or shrinks, would end this process (SIGBUS).
        unsafe try Self.check(
            context,
            kdump_set_number_attr(
                context, KDUMP_ATTR_FILE_MMAP_POLICY, kdump_num_t(KDUMP_MMAP_NEVER.rawValue)))
        let opened = unsafe try Self.open(context, descriptor)
        unsafe (format, pageByteCount, pages) = unsafe opened
        note = unsafe try Self.note(context)
        byteCount = unsafe try Self.byteCount(opened.pages, opened.pageByteCount)
        unsafe self.context = unsafe context
    }

    deinit { unsafe kdump_free(context) }

    private static func open(
        _ context: OpaquePointer, _ descriptor: FileDescriptor
    ) throws -> (format: String, pageByteCount: UInt64, pages: OpaquePointer) {
        // SAFETY: the strings are copied at once; the bitmap is the context's and lives as long.
        unsafe try check(context, kdump_open_fd(context, descriptor.rawValue))
        func text(_ key: String) throws -> String {
            var value: UnsafePointer<CChar>?
            unsafe try check(context, kdump_get_string_attr(context, key, &value))
            return unsafe value.map { unsafe String(cString: $0) } ?? ""
        }
        let architecture = try text(KDUMP_ATTR_ARCH_NAME)
        guard architecture == "ppc64" else { throw DumpFileProblem.otherArchitecture(architecture) }
        var pageByteCount: kdump_num_t = 0
        unsafe try check(context, kdump_get_number_attr(context, KDUMP_ATTR_PAGE_SIZE, &pageByteCount))
        guard [4096, 65536].contains(pageByteCount) else {
            throw DumpFileProblem.library("it has pages of \(pageByteCount) bytes")
        }
        var attribute = unsafe kdump_attr_t()
        unsafe attribute.type = KDUMP_BITMAP
        unsafe try check(context, kdump_get_typed_attr(context, KDUMP_ATTR_FILE_PAGEMAP, &attribute))
        guard let pages = unsafe attribute.val.bitmap else { throw DumpFileProblem.library("it has no page map") }
        return unsafe (try text(KDUMP_ATTR_FILE_FORMAT), UInt64(pageByteCount), pages)
    }

    private static func note(_ context: OpaquePointer) throws -> (info: Vmcoreinfo, order: ByteOrder)? {
        var order: kdump_num_t = 0
        unsafe try check(context, kdump_get_number_attr(context, KDUMP_ATTR_BYTE_ORDER, &order))
        // The library's own function for it (kdump_vmcoreinfo_raw) wants to be told first which system it is.
        var attribute = unsafe kdump_attr_t()
        unsafe attribute.type = KDUMP_BLOB
        guard unsafe kdump_get_typed_attr(context, "linux.vmcoreinfo.raw", &attribute) == KDUMP_OK,
            let blob = unsafe attribute.val.blob
        else { return nil }
        // SAFETY: the bytes stay where they are until they are unpinned, and are copied before.
        guard let bytes = unsafe kdump_blob_pin(blob) else { return nil }
        defer { _ = unsafe kdump_blob_unpin(blob) }
        let byteCount = unsafe kdump_blob_size(blob)
        guard byteCount <= Vmcoreinfo.maximumByteCount else { return nil }
        let text = unsafe Array(UnsafeRawBufferPointer(start: bytes, count: byteCount))
        // What does not begin as one is none: there may be another in memory.
        guard text.starts(with: Array("OSRELEASE=".utf8)) else { return nil }
        return (Vmcoreinfo(text: text), order == KDUMP_BIG_ENDIAN.rawValue ? .big : .little)
    }

    /// Runs of pages that the file has, from a page on; nil at the end.
    private static func run(
        _ pages: OpaquePointer, from first: UInt64
    ) -> Range<UInt64>? {
        var start = kdump_addr_t(first)
        // SAFETY: the bitmap is the context's, and the numbers live for the length of the calls.
        guard unsafe kdump_bmp_find_set(pages, &start) == KDUMP_OK else { return nil }
        var end = start
        guard unsafe kdump_bmp_find_clear(pages, &end) == KDUMP_OK, end > start else { return nil }
        return UInt64(start)..<UInt64(end)
    }

    private static func byteCount(_ pages: OpaquePointer, _ pageByteCount: UInt64) throws -> UInt64 {
        var (end, count): (UInt64, UInt64) = (0, 0)
        while let run = unsafe run(pages, from: end) {
            guard run.upperBound <= LinearMap.byteCount / pageByteCount else {
                throw DumpFileProblem.load(physAddr: run.lowerBound &* pageByteCount, byteCount: pageByteCount)
            }
            count += run.upperBound - run.lowerBound
            end = run.upperBound
        }
        guard count > 0 else { throw DumpFileProblem.noMemory }
        return count * pageByteCount
    }

    func piece(at address: UInt64) -> Range<UInt64>? {
        let page = address / pageByteCount
        var bits: UInt8 = 0
        // SAFETY: one byte holds the bit of one page.
        guard unsafe kdump_bmp_get_bits(pages, kdump_addr_t(page), kdump_addr_t(page), &bits) == KDUMP_OK, bits & 1 == 1
        else { return nil }
        return page * pageByteCount..<(page + 1) * pageByteCount
    }

    func bytes(of piece: Range<UInt64>) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: piece.count)
        var byteCount = piece.count
        // SAFETY: the library writes no more than the buffer holds.
        let status = unsafe bytes.withUnsafeMutableBytes { buffer in
            unsafe kdump_read(
                context, KDUMP_MACHPHYSADDR, kdump_addr_t(piece.lowerBound), buffer.baseAddress, &byteCount)
        }
        unsafe try Self.check(context, status)
        return bytes
    }

    func dataExtents() throws -> [Range<UInt64>] {
        var extents: [Range<UInt64>] = []
        var end: UInt64 = 0
        while let run = unsafe Self.run(pages, from: end) {
            guard extents.count < Self.extentLimit else {
                throw DumpFileProblem.library("it has more than \(Self.extentLimit) pieces of memory, and no note")
            }
            extents.append(run.lowerBound * pageByteCount..<run.upperBound * pageByteCount)
            end = run.upperBound
        }
        return extents
    }

    private static func check(_ context: OpaquePointer, _ status: kdump_status) throws {
        guard status != KDUMP_OK else { return }
        // SAFETY: the library's text is copied at once.
        let text = unsafe kdump_get_err(context).map { unsafe String(cString: $0) } ?? "error \(status.rawValue)"
        throw DumpFileProblem.library(text)
    }
}
