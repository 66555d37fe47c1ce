// SPDX-License-Identifier: Apache-2.0

/// Where each of many addresses stands in the array that it comes from.
///
/// Accounts are in order, or nearly so, and are asked about in order. So this is a sorted array which is searched from where
/// the last answer was: two accounts are merged, whichever way they run, and nothing is hashed.
struct AddressIndex {
    /// All addresses, ascending.
    private var addresses: [UInt64]
    /// Where each of them stands; nil where that follows from the order.
    private var positions: [Int]?
    /// Whether they stand in descending order; means nothing where there are ``positions``.
    private var isReversed = false
    /// Whether each address is there once.
    let isDistinct: Bool
    /// The place in ``addresses`` of what was found last, or would stand there.
    private var cursor = 0

    /// Takes the addresses of an array's elements, in the array's order.
    init(_ listed: [UInt64]) {
        addresses = listed
        let neighbors = zip(listed, listed.dropFirst())
        if neighbors.allSatisfy({ $0 < $1 }) {
            isDistinct = true
        } else if neighbors.allSatisfy({ $0 > $1 }) {
            (isDistinct, isReversed) = (true, true)
            addresses.reverse()
        } else {
            // Equal ones stay in the array's order.
            let order = listed.indices.sorted { (listed[$0], $0) < (listed[$1], $1) }
            let sorted = order.map { listed[$0] }
            (addresses, positions) = (sorted, order)
            isDistinct = zip(sorted, sorted.dropFirst()).allSatisfy { $0 < $1 }
        }
    }

    /// The addresses, each once, ascending.
    var distinct: [UInt64] {
        guard !isDistinct else { return addresses }
        return addresses.prefix(1) + zip(addresses, addresses.dropFirst()).filter { $0 != $1 }.map(\.1)
    }

    /// The position of the first element with an address; nil where none has it.
    mutating func firstPosition(of address: UInt64) -> Int? {
        moveCursor(to: address)
        guard cursor < addresses.count, addresses[cursor] == address else { return nil }
        return position(at: cursor)
    }

    /// The positions of all elements with an address, ascending.
    mutating func positions(of address: UInt64) -> [Int] {
        moveCursor(to: address)
        return addresses[cursor...].prefix { $0 == address }.indices.map(position)
    }

    /// Whether any element has an address.
    mutating func contains(_ address: UInt64) -> Bool { firstPosition(of: address) != nil }

    /// Those of some addresses that no element has.
    mutating func missing(of sought: some Sequence<UInt64>) -> [UInt64] {
        var missing: [UInt64] = []
        for address in sought where !contains(address) { missing.append(address) }
        return missing
    }

    /// Whether no element before this one has its address.
    mutating func isFirst(_ position: Int, of address: UInt64) -> Bool {
        isDistinct || firstPosition(of: address) == position
    }

    private func position(at index: Int) -> Int {
        positions?[index] ?? (isReversed ? addresses.count - 1 - index : index)
    }

    /// To the first address that is not below this one: a step or two from the last, else by halves.
    private mutating func moveCursor(to address: UInt64) {
        var (low, high) = (0, addresses.count)
        if cursor < high, addresses[cursor] < address {
            low = cursor + 1
            if low < high, addresses[low] >= address { high = low }
        } else {
            high = cursor
            if high > 0, addresses[high - 1] < address {
                low = high
            } else if high > 1, addresses[high - 2] < address {
                high -= 1
                low = high
            }
        }
        cursor = addresses.lowerBound(of: address, in: low..<high)
    }
}

extension [UInt64] {
    /// The index of the first number of an ascending array, or of a part of it, that is not below another one; the end where
    /// all are.
    func lowerBound(of number: UInt64, in range: Range<Int>? = nil) -> Int {
        var (low, high) = (range?.lowerBound ?? 0, range?.upperBound ?? count)
        while low < high {
            let middle = (low + high) / 2
            if self[middle] < number { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
