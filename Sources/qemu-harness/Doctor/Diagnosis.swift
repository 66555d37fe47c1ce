// SPDX-License-Identifier: Apache-2.0

import Guests

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
    /// The command or step that fixes it, nil when nothing needs to be fixed.
    let fix: String?

    static func ok(_ name: String, _ finding: String) -> Diagnosis {
        Diagnosis(name: name, status: .ok, finding: finding, fix: nil)
    }

    static func warn(_ name: String, _ finding: String, fix: String) -> Diagnosis {
        Diagnosis(name: name, status: .warn, finding: finding, fix: fix)
    }

    static func fail(_ name: String, _ finding: String, fix: String) -> Diagnosis {
        Diagnosis(name: name, status: .fail, finding: finding, fix: fix)
    }
}
