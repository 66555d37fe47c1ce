// SPDX-License-Identifier: Apache-2.0

import Foundation
import HarnessBasics
import RunRecord

/// Digests of kernels' files, each made once.
final class KernelDigests {
    private var known: [URL: String] = [:]

    /// SHA-256 in hexadecimal digits.
    func digest(of kernel: URL) throws -> String {
        if let digest = known[kernel] { return digest }
        do throws(RecordProblem) {
            let digest = try ContentDigest.sha256Digits(ofFile: kernel)
            known[kernel] = digest
            return digest
        } catch {
            throw HarnessError.infrastructure("the kernel \(error)")
        }
    }
}
