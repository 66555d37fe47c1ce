// SPDX-License-Identifier: Apache-2.0

import GuestMemory

/// What the process of a ``MemoryLoad`` does: it fills memory a piece at a time, gives all of it back, and begins anew, for
/// ever. A byte on its standard output stands for each piece that is filled.
public enum LoadProgram {
    /// The size of a piece: 1 MiB, some pages of every size.
    static var pieceByteCount: UInt64 { 1 << 20 }

    /// So many pieces are filled at once; then others have their turn, for so long.
    private static var pieceCountAtOnce: UInt64 { 16 }
    private static var pauseMilliseconds: Int { 2 }

    /// Fills and frees `byteCount` bytes, which are rounded down to whole pieces. Returns when there are none, when nothing
    /// can be mapped, or when nobody reads what it says any more.
    public static func run(byteCount: UInt64, system: some AgentSystem) {
        let pieceCount = byteCount / pieceByteCount
        // The first to be killed where memory runs out, and the last to run (mm/oom_kill.c: oom_badness; setpriority(2)).
        _ = system.put(bytes("1000"), into: bytes("/proc/self/oom_score_adj"))
        system.lowerPriority()
        guard pieceCount > 0, let base = system.mapMemory(byteCount: pieceCount * pieceByteCount) else { return }
        while true {
            for piece in 0..<pieceCount {
                system.fill(base + piece * pieceByteCount, byteCount: pieceByteCount)
                guard system.write(1, [0x2e]) else { return }
                if piece % pieceCountAtOnce == 0 { _ = system.wait(for: [], milliseconds: pauseMilliseconds) }
            }
            system.discard(base, byteCount: pieceCount * pieceByteCount)
        }
    }
}
