// SPDX-License-Identifier: Apache-2.0

import COpenSSL
import Foundation
import Verification

/// The files of a record: their names, and how they are read when anyone may have made them.
enum RecordFile {
    static let run = "run.json"
    static let results = "results.json"
    static let domain = "domain.xml"
    static let console = "console.log"
    static let plan = "plan.yaml"

    /// What is read of run.json. It holds a few lines and a digest for each file.
    static let runByteLimit = 1 << 20
    /// What is read of results.json or a snapshot. As many entries as a column takes
    /// (``WordColumn/limit``) fill a quarter of it, as a hash guest with 4 KiB pages has them.
    static let documentByteLimit = 256 << 20
    /// The steps of results.json. A plan has 1000 at most; boot and power-off are beside them.
    static let stepLimit = 1024
    /// What is read of any file for its digest: guests may print a lot.
    static let digestByteLimit = 4 << 30

    /// A step's snapshot.
    static func snapshot(step: Int) -> String { "snapshot-\(step).json" }

    /// The step whose snapshot has this name, nil when it is no snapshot's.
    static func step(ofSnapshot name: String) -> Int? {
        guard let step = Int(name.dropFirst("snapshot-".count).dropLast(".json".count)), step > 0 else { return nil }
        return name == snapshot(step: step) ? step : nil
    }

    /// Whether a file belongs to a record and can be complete when the run ends.
    static func isDigested(_ name: String) -> Bool {
        [results, RunDirectory.eventsName, domain, RunDirectory.logName, console, plan].contains(name)
            || step(ofSnapshot: name) != nil
    }

    /// The SHA-256 of a file, in hexadecimal digits.
    static func digest(of file: URL) throws(RecordProblem) -> String {
        // SAFETY: the context is freed here and nowhere else, and each call gets a buffer that is as long as it says.
        guard let context = unsafe EVP_MD_CTX_new() else { throw RecordProblem(file, "cannot be digested: no memory") }
        defer { unsafe EVP_MD_CTX_free(context) }
        var isDone = unsafe EVP_DigestInit_ex(context, EVP_sha256(), nil) == 1
        try read(file, limit: digestByteLimit) { data in
            let isTaken = unsafe data.withUnsafeBytes {
                unsafe EVP_DigestUpdate(context, $0.baseAddress, $0.count) == 1
            }
            isDone = isDone && isTaken
        }
        var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var byteCount: UInt32 = 0
        isDone = unsafe EVP_DigestFinal_ex(context, &digest, &byteCount) == 1 && isDone
        guard isDone else { throw RecordProblem(file, "cannot be digested: libcrypto has no SHA-256") }
        return digest.prefix(Int(byteCount)).hexadecimalDigits
    }

    /// A document of a version that this program knows.
    static func document<Document: RecordDocument>(
        at file: URL, limit: Int = documentByteLimit
    ) throws(RecordProblem) -> Document {
        var data = Data()
        try read(file, limit: limit) { data.append($0) }
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .iso8601
        decoder.userInfo = ColumnBudget().userInfo
        do {
            return try decoder.decode(Stamped<Document>.self, from: data).document
        } catch let error as UnknownSchema {
            let known = error.known.map(String.init).joined(separator: " and ")
            throw RecordProblem(file, "has schema \(error.found); this program knows \(known)")
        } catch let error as DecodingError {
            throw RecordProblem(file, Self.text(of: error))
        } catch {
            throw RecordProblem(file, "\(error)")
        }
    }

    /// Reads a regular file piece by piece. Anything else than a regular file could make a reader wait for ever.
    static func read(_ file: URL, limit: Int, _ body: (Data) -> Void) throws(RecordProblem) {
        func failure() -> RecordProblem {
            // SAFETY: the C library's text is copied at once.
            RecordProblem(
                file, errno == ENOENT ? "is missing" : unsafe "cannot be read: \(String(cString: strerror(errno)))")
        }
        // SAFETY: a C string that lives for the length of the call, as the status below does.
        let descriptor = unsafe open(file.path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure() }
        let handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else { throw failure() }
        guard status.st_mode & S_IFMT == S_IFREG else { throw RecordProblem(file, "is no regular file") }
        guard status.st_size <= limit else {
            throw RecordProblem(file, "has \(status.st_size) bytes; \(limit) are the most that it can have")
        }
        var byteCount = 0
        while true {
            let piece: Data?
            do {
                piece = try handle.read(upToCount: 1 << 20)
            } catch {
                throw RecordProblem(file, "cannot be read: \(error.localizedDescription)")
            }
            guard let piece, !piece.isEmpty else { return }
            byteCount += piece.count
            guard byteCount <= limit else {
                throw RecordProblem(file, "grows while it is read, to more than the \(limit) bytes that it can have")
            }
            body(piece)
        }
    }

    private static func text(of error: DecodingError) -> String {
        func place(_ path: [any CodingKey]) -> String {
            path.isEmpty
                ? "the document"
                : path.map { key in key.intValue.map { "[\($0)]" } ?? ".\(key.stringValue)" }.joined().trimmingPrefix(
                    "."
                )
                .description
        }
        switch error {
        case .keyNotFound(let key, let context):
            return "is incomplete: \(place(context.codingPath)) has no '\(key.stringValue)'"
        case .dataCorrupted(let context) where context.codingPath.isEmpty:
            // What Foundation says of broken JSON is in the error below.
            let why = context.underlyingError.map { ": \(($0 as NSError).userInfo["NSDebugDescription"] ?? $0)" } ?? ""
            return "is cut off or no JSON\(why)"
        case .dataCorrupted(let context), .typeMismatch(_, let context), .valueNotFound(_, let context):
            return "is damaged at \(place(context.codingPath)): \(context.debugDescription)"
        @unknown default:
            return "cannot be read: \(error)"
        }
    }
}

/// A document of a record, which says which version of its form it has.
typealias RecordDocument = Decodable & VersionedDocument

/// A document behind its version, which is looked at first.
private struct Stamped<Document: RecordDocument>: Decodable {
    let document: Document

    private enum CodingKeys: String, CodingKey {
        case schema
    }

    init(from decoder: any Decoder) throws {
        let found = try decoder.container(keyedBy: CodingKeys.self).decode(Int.self, forKey: .schema)
        guard Document.knownSchemas.contains(found) else {
            throw UnknownSchema(found: found, known: Document.knownSchemas)
        }
        document = try Document(from: decoder)
    }
}

private struct UnknownSchema: Error {
    let found: Int
    let known: ClosedRange<Int>
}
