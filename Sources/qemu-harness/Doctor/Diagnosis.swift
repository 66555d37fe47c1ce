// SPDX-License-Identifier: Apache-2.0

/// What `doctor` found out about one requirement.
struct Diagnosis: Codable, Equatable {
    /// How a requirement stands.
    enum Status: String, Codable {
        /// It is met.
        case ok
        /// Runs work, and not as well as they could.
        case warn
        /// No run can work.
        case fail
    }

    /// The requirement.
    let name: String
    let status: Status
    /// What was found, with numbers.
    let finding: String
    /// The command or step that mends it, nil when nothing needs to be mended.
    let mend: String?

    static func ok(_ name: String, _ finding: String) -> Diagnosis {
        Diagnosis(name: name, status: .ok, finding: finding, mend: nil)
    }

    static func warn(_ name: String, _ finding: String, mend: String) -> Diagnosis {
        Diagnosis(name: name, status: .warn, finding: finding, mend: mend)
    }

    static func fail(_ name: String, _ finding: String, mend: String) -> Diagnosis {
        Diagnosis(name: name, status: .fail, finding: finding, mend: mend)
    }
}
