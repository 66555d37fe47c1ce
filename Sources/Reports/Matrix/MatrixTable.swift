// SPDX-License-Identifier: Apache-2.0

import Foundation
import HarnessBasics
package import RunRecord

/// A matrix as a person reads it on stdout: 80 columns, what matters most last.
package struct MatrixTable {
    let matrix: MatrixRecord

    /// The table of a matrix.
    package init(_ matrix: MatrixRecord) { self.matrix = matrix }

    /// How many lines tell of cells in which not everything is right; the table has all of them.
    private static let lineLimit = 64

    /// The whole table. What a plan, a guest or a folder says in it cannot steer a terminal.
    package func text(isColored: Bool = false) -> String {
        [cellLines, attentionLines, verdictLines(isColored: isColored)]
            .filter { !$0.isEmpty }
            .map { $0.joined(separator: "\n") }
            .joined(separator: "\n\n") + "\n"
    }

    private var cellLines: [String] {
        guard !matrix.cells.isEmpty else { return [] }
        let rows = matrix.cells.map { cell -> [String] in
            let (cell, ending, word) = (cell.cell, cell.ending, cell.word)
            let counts =
                ending.map { ["\($0.verificationCount)", "\($0.entryCount)", Self.seconds($0)] } ?? ["", "", ""]
            return (["\(cell.number)", cell.planName, cell.kernelName, cell.cpu, word] + counts)
                .map { Terminal.printable($0.replacing("\n", with: " ")) }
        }
        return TextTable(
            [.right, .left(givesWay: true), .left(), .left(), .left(), .right, .right, .right],
            [["cell", "plan", "kernel", "cpu", "outcome", "verified", "entries", "s"]] + rows
        ).lines(width: Terminal.width)
    }

    private static func seconds(_ ending: MatrixEnding) -> String {
        String(format: "%.0f", ReportText.seconds(ending.seconds))
    }

    /// What was found, what went wrong, and what was taken more than once, cell by cell.
    private var attentionLines: [String] {
        let lines = matrix.cells.flatMap { cell -> [String] in
            var texts: [String] = []
            if let findings = cell.ending?.findings, !findings.isEmpty {
                let names = findings.sorted { $0.key < $1.key }.map { $1 == 1 ? $0 : "\($0) (\($1) times)" }
                texts.append(names.joined(separator: ", "))
            }
            if let error = cell.ending?.error { texts.append(String(error.split(separator: "\n").first ?? "")) }
            let others = cell.attempts.dropLast().map { $0.ending?.outcome.rawValue ?? "killed" }
            if !others.isEmpty {
                texts.append("taken \(others.count + 1) times, before: \(others.joined(separator: ", "))")
            }
            return texts.flatMap {
                Terminal.paragraph("  cell \(cell.cell.number) (\(cell.cell.name)): \($0)", indent: "    ")
            }
        }
        guard lines.count > Self.lineLimit else { return lines }
        return lines.prefix(Self.lineLimit) + ["  … and more in \(MatrixJournal.fileName)"]
    }

    private func verdictLines(isColored: Bool) -> [String] {
        let word = matrix.outcome.rawValue
        var lines = Terminal.paragraph("\(word): " + summary)
        if isColored, let first = lines.first { lines[0] = matrix.outcome.colored + first.dropFirst(word.count) }
        lines.append("matrix: \(ResultTable.relative(matrix.url))")
        if matrix.cells.contains(where: { $0.ending == nil }) {
            lines.append("go on: qemu-harness matrix --resume \(ResultTable.quoted(ResultTable.relative(matrix.url)))")
        }
        let names = matrix.cells.flatMap { $0.ending?.findings.keys.sorted() ?? [] }
        // The names come from a file, and may be anything.
        if let pointer = Explanation.pointer(to: names.filter { Explanation.of($0) != nil }) { lines.append(pointer) }
        return lines
    }

    /// How many cells came to what, and what was verified in them.
    var summary: String {
        let counts = Dictionary(grouping: matrix.cells, by: \.word).mapValues(\.count)
        let words = (Outcome.allWords + [MatrixRecord.Cell.missingWord]).compactMap { word in
            counts[word].map { "\($0) \(word)" }
        }
        let endings = matrix.cells.compactMap(\.ending)
        let shard = matrix.information.shard
        let part = shard == .whole ? "" : " of \(matrix.information.cells.count), shard \(shard.text)"
        let verifications = endings.reduce(0) { $0 + $1.verificationCount }.of("verification", "verifications")
        let entries = endings.reduce(0) { $0 + $1.entryCount }.of("entry", "entries")
        let cells = matrix.cells.count.of("cell", "cells") + part
        return (words.isEmpty ? cells : "\(cells): \(words.joined(separator: ", "))")
            + "; \(verifications) of \(entries)"
    }
}

extension MatrixRecord.Cell {
    /// Of a cell that came to nothing yet.
    static let missingWord = "not taken"

    /// How the cell ended, in a word or two.
    var word: String { ending?.outcome.rawValue ?? Self.missingWord }
}

extension Outcome {
    /// All of them, the best first.
    fileprivate static let allWords = [Outcome.passed, .failed, .error, .incomplete, .interrupted].map(\.rawValue)
}
