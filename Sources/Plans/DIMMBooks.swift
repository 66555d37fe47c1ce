// SPDX-License-Identifier: Apache-2.0

/// The DIMMs of a plan as its steps plug and unplug them, should every unplug succeed.
public struct DIMMBooks {
    /// The sizes of all DIMMs that were ever plugged, in order.
    private var sizes: [UInt64] = []
    private var plugged: [Int] = []

    /// A machine without DIMMs.
    public init() {}

    /// How many DIMMs were ever plugged.
    public var count: Int { sizes.count }
    /// How many are plugged.
    public var pluggedCount: Int { plugged.count }
    /// Their bytes.
    public var pluggedByteCount: UInt64 {
        plugged.reduce(0) { sum, number in
            // Sizes from a command line are not checked yet.
            let (total, overflows) = sum.addingReportingOverflow(sizes[number - 1])
            return overflows ? .max : total
        }
    }

    /// A DIMM's number, counted from 1; nil when there is none.
    public func number(of dimm: Plan.DIMM) -> Int? {
        switch dimm {
        case .number(let number): number
        case .last: plugged.last
        }
    }

    /// Plugs a DIMM.
    public mutating func plug(_ byteCount: UInt64) {
        sizes.append(byteCount)
        plugged.append(sizes.count)
    }

    /// Unplugs a DIMM; one that is not plugged is no loss.
    public mutating func unplug(_ dimm: Plan.DIMM) {
        let number = number(of: dimm)
        plugged.removeAll { $0 == number }
    }
}
