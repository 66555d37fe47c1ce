// SPDX-License-Identifier: Apache-2.0

/// Bad news that is not about the guest's memory map. What is wrong with that is a finding.
enum HarnessError: Error, Equatable, CustomStringConvertible {
    /// A flag or a plan asks for what cannot be (exit 64).
    case usage(String)
    /// libvirt, QEMU, the guest or a timeout kept the run from a verdict (exit 2).
    case infrastructure(String)

    var description: String {
        switch self {
        case .usage(let message), .infrastructure(let message): message
        }
    }
}

/// The exit codes, in one place.
enum ExitStatus {
    static let passed: Int32 = 0
    static let failed: Int32 = 1
    static let infrastructure: Int32 = 2
    static let incomplete: Int32 = 4
    static let usage: Int32 = 64
    static let interrupted: Int32 = 130
    static let terminated: Int32 = 143

    /// What the codes of a run mean, for its help.
    static let help = """
        Exit codes: 0 everything verified is right; 1 there are findings; 2 libvirt, QEMU or the guest failed, or a \
        record is damaged; 4 not everything could be verified; 64 wrong use; 130 interrupted, 143 terminated.
        """
}
