// SPDX-License-Identifier: Apache-2.0

/// Tells how far a long emulation is, once a second at most.
final class EmulationProgress {
    private let total: UInt64
    private let line: ProgressLine
    private let clock = ContinuousClock()
    private var last: ContinuousClock.Instant
    private var hasTold = false

    init(style: ProgressLine.Style, total: UInt64) {
        self.total = total
        line = ProgressLine(style: style)
        last = clock.now
    }

    func report(_ done: UInt64) {
        guard clock.now - last >= .seconds(1) else { return }
        last = clock.now
        hasTold = true
        line.update("populated \(done >> 30) GiB of \(total >> 30) GiB")
    }

    func end() {
        if hasTold { line.clear() }
    }
}
