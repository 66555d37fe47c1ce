// SPDX-License-Identifier: Apache-2.0

/// What one witness's words come to.
struct Judgement {
    let witness: Witness
    /// What is wrong with them.
    var findings: [Finding] = []
    /// How many of its statements agree with the kernel's account.
    var agreeingCount = 0
    /// What it was asked and did not say.
    private(set) var unsaid: [Unsaid] = []
    /// How many sections the kernel's account covers, from the one judgement of that account.
    var coveredSectionCount = 0
    /// Which faults its agreement rules out, or why it said nothing.
    let detail: String
    private let isAbsent: Bool

    /// A witness that spoke.
    init(_ witness: Witness, _ detail: String) {
        self.witness = witness
        self.detail = detail
        isAbsent = false
    }

    /// A witness that said nothing of so many entries.
    init(_ witness: Witness, silentAbout count: Int, isAbsent: Bool = true, _ reason: String) {
        self.witness = witness
        detail = reason
        self.isAbsent = isAbsent
        unsaid = [Unsaid(witness, count: count, reason)]
    }

    /// Notes that so many statements were not made; none is nothing to note.
    mutating func leaveUnsaid(_ count: Int, _ reason: String) {
        if count > 0 { unsaid.append(Unsaid(witness, count: count, reason)) }
    }

    var statement: WitnessStatement {
        let standing: WitnessStatement.Standing =
            if !findings.isEmpty {
                .contradicts
            } else if isAbsent {
                .absent
            } else if unsaid.isEmpty {
                .agrees
            } else {
                agreeingCount > 0 ? .incomplete : .cannotSay
            }
        return WitnessStatement(
            witness: witness, standing: standing, agreeingCount: agreeingCount,
            unsaidCount: unsaid.reduce(0) { $0 + $1.count }, detail: detail)
    }
}
