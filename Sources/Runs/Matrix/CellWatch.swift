// SPDX-License-Identifier: Apache-2.0

package import Foundation
package import RunRecord

/// Follows the record of a cell's run, which another process writes, and tells of its steps and findings.
package struct CellWatch: Sendable {
    let cell: MatrixCell
    let attempt: MatrixAttempt
    /// The matrix's folder.
    let folder: URL
    let observer: any MatrixObserver

    /// A watch over a run whose record comes to lie in the matrix's folder.
    package init(_ cell: MatrixCell, _ attempt: MatrixAttempt, in folder: URL, telling observer: any MatrixObserver) {
        (self.cell, self.attempt, self.folder, self.observer) = (cell, attempt, folder, observer)
    }

    /// Watches until the task is cancelled, and then to the end of what was written.
    package func watch() async {
        var tail: RecordTail?
        while true {
            let isLast = Task.isCancelled
            tail = tail ?? RunsFolder.record(ofRun: attempt.run, in: folder).map { RecordTail(eventsIn: $0) }
            // What cannot be read is found out when the record is.
            while let line = try? tail?.nextLine() { tell(line) }
            if isLast { return }
            try? await Task.sleep(for: .milliseconds(250))
        }
    }

    private func tell(_ line: String) {
        // Most lines are the guest's, and need not be read.
        guard line.contains("\"kind\":\"step.started\"") || line.contains("\"kind\":\"finding\""),
            let event = try? JSONDecoder().decode(LoggedEvent.self, from: Data(line.utf8))
        else { return }
        switch event.kind {
        case "step.started": observer.observe(.stepStarted(cell, number: event.step ?? 0, title: event.title ?? ""))
        case "finding": observer.observe(.found(cell, finding: event.name ?? "", message: event.message ?? ""))
        default: break
        }
    }
}
