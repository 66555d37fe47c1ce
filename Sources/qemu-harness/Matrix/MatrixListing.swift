// SPDX-License-Identifier: Apache-2.0

import HarnessBasics
import Reports
import RunRecord

/// The cells of a matrix that is not begun, as a table.
struct MatrixListing {
    let text: String

    init(_ cells: [MatrixCell]) {
        let rows = cells.map { ["\($0.number)", $0.plan, $0.kernel, $0.cpu].map(Terminal.printable) }
        text = TextTable([.right, .left(), .left(), .left()], [["cell", "plan", "kernel", "cpu"]] + rows).lines()
            .map { $0 + "\n" }.joined()
    }
}
