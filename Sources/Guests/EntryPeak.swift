// SPDX-License-Identifier: Apache-2.0

import AgentProtocol

/// The most entries that a kernel's list has had: as many as were seen on it, or more, by what the guest tells of the time
/// in between. A hot-add that fails half-way takes its entries back before anybody looks.
struct EntryPeak {
    /// 0 for a kernel that keeps no list.
    private(set) var entryCount = 0
    private var currentCount = 0

    /// Takes in how many entries are on the list now.
    mutating func note(entryCount count: Int) {
        currentCount = count
        entryCount = max(entryCount, count)
    }

    /// Takes an event in. A kernel without a list tells of blocks too, and boots with none on it.
    mutating func take(_ event: AgentEvent) {
        guard entryCount > 0 else { return }
        switch event {
        case .blockMirrored: note(entryCount: currentCount + 1)
        case .blockFreed: currentCount = max(currentCount - 1, 0)
        default: break
        }
    }
}
