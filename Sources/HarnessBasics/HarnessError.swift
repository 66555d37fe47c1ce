// SPDX-License-Identifier: Apache-2.0

/// Bad news that is not about the guest's memory map. What is wrong with that is a finding.
public enum HarnessError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A flag or a plan asks for what cannot be (exit 64).
    case usage(String)
    /// libvirt, QEMU, the guest or a timeout kept the run from a verdict (exit 2).
    case infrastructure(String)

    /// What a person reads.
    public var description: String {
        switch self {
        case .usage(let message), .infrastructure(let message): message
        }
    }
}
