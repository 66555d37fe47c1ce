// SPDX-License-Identifier: Apache-2.0

/// Waits for sources and the harness.
///
/// A file that has failed or was hung up is ready for ever (`POLLERR`, `POLLHUP`) and gives nothing: whoever asks again at
/// once is never through. So where waiting ended and nothing was read, the next wait takes a while.
struct Waiting {
    private var wasReady = false

    /// Waits until one of the descriptors is ready, or the time is over.
    ///
    /// - Parameters:
    ///   - descriptors: what to wait for.
    ///   - milliseconds: for how long at most.
    ///   - hasRead: whether anything was read since the last time.
    ///   - system: the guest.
    mutating func wait(for descriptors: [Int], milliseconds: Int, hasRead: Bool, system: some AgentSystem) {
        if wasReady, !hasRead { _ = system.wait(for: [], milliseconds: 100) }
        wasReady = system.wait(for: descriptors, milliseconds: milliseconds)
    }
}
