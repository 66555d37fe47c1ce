// SPDX-License-Identifier: Apache-2.0

/// Tells on a terminal how much of a dump was read, once a second at most: a note that is looked for in a large raw image, or
/// a long list, takes its time. Elsewhere nothing is told.
final class InspectionProgress {
    private let line = ProgressLine(style: .auto)
    private let clock = ContinuousClock()
    private var last: ContinuousClock.Instant
    private var hasTold = false

    /// Begins to count the seconds.
    init() { last = clock.now }

    /// Takes how many bytes were read by now.
    func report(_ byteCount: UInt64) {
        guard clock.now - last >= .seconds(1) else { return }
        last = clock.now
        hasTold = true
        line.show("read \(byteCount >> 20) MiB of memory")
    }

    /// Takes away what is shown.
    func end() {
        if hasTold { line.clear() }
    }
}
