// SPDX-License-Identifier: Apache-2.0

/// The second file that host and guest share, through which a dump leaves a dump-capture kernel.
///
/// The harness creates it a power of two in size, all zeros but for its first word, which tells the guest's two ivshmem
/// devices apart. Only a dump-capture kernel's agent writes here, and how much it has written is in its answer. Bytes stand
/// in the order in which the tool wrote them, whatever the guest's byte order.
///
///     0          ``magic``, little-endian
///     4 KiB      what the tool said on its error stream, to a limit
///     64 KiB     what it wrote to its output: the dump
public enum DumpArea {
    /// `QHDUMP01` read as a little-endian number.
    public static let magic: UInt64 = 0x3130_504d_5544_4851
    /// Where the tool's words start.
    public static let wordsOffset: UInt64 = 4096
    /// How many bytes of its words are kept; what comes behind them is dropped.
    public static let wordsByteCount = dumpOffset - wordsOffset
    /// Where the dump starts; it may go on to the area's end.
    public static let dumpOffset: UInt64 = 65536
}
