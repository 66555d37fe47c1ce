// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import Guests
import HarnessBasics
import Plans
package import RunRecord
import Verification

/// Holds the step before against what a plan expects of it.
///
/// A finding that is expected does not make the run fail; one that is expected and not there does. One that is allowed may
/// be there or not.
package struct ExpectStep: RunStep {
    let expectation: Plan.Expectation

    package var title: String { "expect " + expectation.texts.joined(separator: ", ") }

    package func perform(in context: inout RunContext, result: inout StepResult) async throws {
        result.expectedFindings = expectation.expectedFindings
        result.expectedUnsaid = expectation.unsaid
        let unmet = expectation.unmet(by: context)
        guard !unmet.isEmpty else { return }
        result.findings = unmet.map { Finding(.plan, .unmet, $0) }
    }
}

extension Plan.Expectation {
    /// The findings that it excuses: those that it expects or allows, and the one that a silent unplug is.
    fileprivate var expectedFindings: [String] {
        let silence = unplug == UnplugResult.silent.rawValue ? [Finding(.unplug, .silent, "").name] : []
        return (findings ?? []) + (allowed ?? []) + silence
    }

    /// Each expectation as a person reads it.
    fileprivate var texts: [String] {
        var texts = (findings ?? []) + (allowed ?? []).map { "perhaps \($0)" }
        texts += (unsaid ?? []).map { "\($0.rawValue) unsaid" }
        for (name, count) in [
            ("entries", entries), ("observed", observed), ("sections", sections), ("covered", covered),
        ] {
            if let count { texts.append("\(name) \(count)") }
        }
        for (name, size) in [("page size", pageSize), ("vmemmap page size", vmemmapPageSize)] {
            if let size { texts.append("\(name) \(ByteCount(size).text)") }
        }
        for (name, word) in [("mmu", mmu), ("unplug", unplug), ("altmap", altmap), ("dump", dump)] {
            if let word { texts.append("\(name) \(word)") }
        }
        return texts
    }

    /// What is not as it is expected, in words.
    func unmet(by context: RunContext) -> [String] {
        let previous = context.previous
        let found = Set(previous?.allFindings.map(\.name) ?? [])
        var unmet = (findings ?? []).filter { !found.contains($0) }.map {
            "\($0) was expected; \(found.isEmpty ? "nothing was found" : found.sorted().joined(separator: ", "))"
        }
        for witness in unsaid ?? [] where previous?.verdict?.unsaid.contains(where: { $0.witness == witness }) != true {
            unmet.append("\(witness.rawValue) was expected to leave something unsaid; it did not")
        }
        func compare<Value: Equatable>(_ name: String, _ expected: Value?, _ actual: Value?, _ text: (Value) -> String)
        {
            guard let expected, expected != actual else { return }
            let found = actual.map { "it is \(text($0))" } ?? "nothing tells it"
            unmet.append("\(name) was expected to be \(text(expected)); \(found)")
        }
        let verdict = previous?.verdict
        compare("the number of entries", entries, verdict?.entryCount) { "\($0)" }
        compare("the number of observed entries", observed, verdict.map { $0.provenance[.observed] ?? 0 }) { "\($0)" }
        compare("the number of sections", sections, verdict?.sectionCount) { "\($0)" }
        compare("the number of covered sections", covered, verdict?.coveredSectionCount) { "\($0)" }
        let guest = context.information.guest
        compare("the MMU", mmu, guest.mmu) { $0 }
        compare("the page size", pageSize, guest.pageByteCount) { ByteCount($0).text }
        compare("the vmemmap page size", vmemmapPageSize, guest.vmemmapPageByteCount) { ByteCount($0).text }
        compare("the unplug", unplug, context.past.unplugResult?.rawValue) { $0 }
        compare("the dump", dump, previous?.dump?.ending.rawValue) { $0 }
        compare("an altmap", altmap, context.past.altmap) { $0 }
        return unmet
    }
}

extension Snapshot {
    /// Whether memory that was plugged since the boot holds its own memory map (`memmap_on_memory`); nil when nothing
    /// tells.
    ///
    /// A block that describes a piece of plugged memory and lies in the same LMB cannot have come from anywhere else: the
    /// kernel had nothing of that LMB to give when it made the block.
    var showsAltmap: Bool? {
        guard let history else { return nil }
        guard let windows = pageTables?.windows else { return history.steps.contains(where: \.hasAltmap) }
        return windows.contains { window in
            guard window.virtAddr >= kernel.vmemmapBase, kernel.structPageByteCount > 0 else { return false }
            let (described, overflows) = ((window.virtAddr - kernel.vmemmapBase) / kernel.structPageByteCount)
                .multipliedReportingOverflow(by: kernel.pageByteCount)
            let lmb = LMB.byteCount
            return !overflows && described / lmb == window.phys / lmb
                && !history.bootMemory.contains { described >= $0.base && described - $0.base < $0.byteCount }
        }
    }
}
