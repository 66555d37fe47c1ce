// SPDX-License-Identifier: Apache-2.0

/// What the MMU is asked an address a command (`gva2gpa`): about what QEMU does not read through it (``ReadBack``), and about
/// windows that are gone. It is asked while the guest is paused, so that there is a limit.
public enum MMUQuestions {
    /// The most such commands about the kernel's account at one verification, and the most about windows that are gone. At
    /// half a millisecond to two each, the guest is paused for about a minute at worst. Where QEMU reads nothing, 16,384
    /// windows of any size are asked completely.
    public static let limit = 1 << 15

    /// Where in a window the MMU is asked, in bytes: its first and its last 4 KiB, which are the same in the smallest window.
    public static func offsets(windowByteCount: UInt64) -> [UInt64] {
        windowByteCount > 4096 ? [0, windowByteCount - 4096] : [0]
    }

    /// The addresses of a window.
    static func addresses(of window: BackedWindow) -> [UInt64] {
        offsets(windowByteCount: window.byteCount).map { window.virtAddr &+ $0 }
    }

    /// A few addresses of each effective segment that windows lie in, of 16 segments at most: where none of a segment's is
    /// translated, the CPU's SLB may have no entry for it at the moment.
    ///
    /// - Parameters:
    ///   - windows: the windows.
    ///   - segmentShift: log2 of a segment's size.
    /// - Returns: a segment's addresses together.
    public static func samples(of windows: [BackedWindow], segmentShift: UInt64) -> [[UInt64]] {
        let segments = Dictionary(grouping: windows.map(\.virtAddr)) { $0 >> segmentShift }
        return segments.values.prefix(16).map { virtAddrs in
            [virtAddrs[0], virtAddrs[virtAddrs.count / 2], virtAddrs[virtAddrs.count - 1]]
        }
    }

    /// log2 of the size of the hash MMU's segments, in bytes, where nothing tells it: the hashed page table does.
    public static let usualSegmentShift: UInt64 = 40

    /// The addresses that are asked: all of them, or so many that the limit allows. Half of those are about what came last,
    /// every n-th window where that is too much as well; the others are every n-th of the rest, from one end to the other.
    ///
    /// - Parameters:
    ///   - windows: what there is to ask about.
    ///   - known: what the verification before found; empty when there was none.
    ///   - limit: the most addresses.
    /// - Returns: the addresses, each once for each window that it belongs to.
    public static func addresses(
        of windows: [BackedWindow], known: [BackedWindow], limit: Int = limit
    ) -> [UInt64] {
        let all = windows.flatMap(addresses)
        guard all.count > limit else { return all }
        let known = Set(known)
        let newest = known.isEmpty ? [] : spread(windows.filter { !known.contains($0) }, limit: limit / 2)
        let others = known.isEmpty ? windows : windows.filter(known.contains)
        return newest + spread(others, limit: limit - newest.count)
    }

    /// The addresses of every n-th window, the first and the last among them.
    private static func spread(_ windows: [BackedWindow], limit: Int) -> [UInt64] {
        let most = windows.map { addresses(of: $0).count }.max() ?? 1
        let windowLimit = max(limit / most - 1, 1)
        let step = (windows.count + windowLimit - 1) / windowLimit
        guard step > 1 else { return windows.flatMap(addresses) }
        let chosen = stride(from: 0, to: windows.count, by: step).map { windows[$0] }
        let last = (windows.count - 1) % step == 0 ? [] : windows.suffix(1)
        return (chosen + last).flatMap(addresses)
    }
}
