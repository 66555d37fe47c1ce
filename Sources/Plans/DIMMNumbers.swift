// SPDX-License-Identifier: Apache-2.0

/// The DIMMs of a plan as its steps plug and unplug them, should every unplug succeed.
public struct DIMMNumbers {
    /// How many DIMMs were ever plugged.
    public private(set) var count = 0
    /// The numbers of those that are plugged, in the order of the plugs.
    private(set) var plugged: [Int] = []

    /// A machine without DIMMs.
    public init() {}

    /// How many are plugged.
    var pluggedCount: Int { plugged.count }

    /// Whether the DIMM of a number is plugged.
    func isPlugged(_ number: Int) -> Bool { plugged.contains(number) }

    /// A DIMM's number, counted from 1; nil when there is none.
    public func number(of dimm: Plan.DIMM) -> Int? {
        switch dimm {
        case .number(let number): number
        case .last: plugged.last
        }
    }

    /// Plugs a DIMM.
    public mutating func plug() {
        count += 1
        plugged.append(count)
    }

    /// Unplugs a DIMM; one that is not plugged is no loss.
    public mutating func unplug(_ dimm: Plan.DIMM) {
        let number = number(of: dimm)
        plugged.removeAll { $0 == number }
    }
}
