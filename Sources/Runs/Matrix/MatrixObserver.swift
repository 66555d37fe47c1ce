// SPDX-License-Identifier: Apache-2.0

package import RunRecord

/// One thing that happens in a matrix, for a person who watches.
package enum MatrixEvent: Sendable {
    /// A cell's run begins.
    case cellStarted(MatrixCell, MatrixAttempt)
    /// A step of it begins.
    case stepStarted(MatrixCell, number: Int, title: String)
    /// It has found something.
    case found(MatrixCell, finding: String, message: String)
    /// It has ended; whether it is taken again.
    case cellEnded(MatrixCell, MatrixEnding, isRepeated: Bool)
}

/// Somebody who is told what happens in a matrix.
package protocol MatrixObserver: Sendable {
    /// Takes the next event; those of several cells come at once.
    func observe(_ event: MatrixEvent)
}
