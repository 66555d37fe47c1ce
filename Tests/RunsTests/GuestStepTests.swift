// SPDX-License-Identifier: Apache-2.0

import Testing
import Verification

@testable import Runs

/// What a guest's file has to contain.
@Suite struct GuestStepTests {
    @Test(arguments: [
        ("Linux 6", true, "", nil), ("Linux 6", true, "nux", nil), ("Linux 6", false, "nux", nil),
        ("Linux 6\nx", true, "BSD", "/f does not contain 'BSD'; it begins 'Linux 6 x'"),
        (
            "Linux 6", false, "BSD",
            "/f is read to its first 65536 bytes, which do not contain 'BSD'; it begins 'Linux 6'"
        ),
    ])
    func aTextThatIsNotThereIsAFinding(text: String, isWhole: Bool, expected: String, message: String?) {
        let finding = GuestStep.finding(path: "/f", text: text, isWhole: isWhole, expected: expected)
        #expect(finding?.message == message)
        #expect(finding.map { $0.name == "plan-unmet" } ?? true)
    }
}
