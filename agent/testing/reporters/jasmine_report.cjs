// Jasmine's results, a JSON object a line, and for people what failed and the counts.
//
// This file is copied into the sandbox and loaded there by Jasmine (`--reporter`), of any version
// from 3 on. What it is given: https://jasmine.github.io/api/edge/Reporter.html

const fs = require("fs");

const report = fs.openSync(process.env.PATCHWRIGHT_TEST_REPORT, "a");
const OUTCOMES = { passed: "passed", failed: "failed", pending: "skipped" };
const LONGEST = 8000;

function told(expectations) {
  return (expectations || []).map((one) => `${one.message}\n${one.stack || ""}`).join("\n");
}

class Report {
  constructor() {
    this.reporterCapabilities = { parallel: true };
    this.counts = { passed: 0, failed: 0, skipped: 0, error: 0 };
  }

  jasmineStarted() {
    this.write({ started: true });
  }

  specDone(result) {
    const outcome = OUTCOMES[result.status];
    // Others were not chosen.
    if (outcome) this.keep(result, outcome);
  }

  suiteDone(result) {
    if (told(result.failedExpectations)) this.keep(result, "error");
  }

  jasmineDone(result) {
    const text = told(result && result.failedExpectations);
    if (text) this.keep({ fullName: "jasmine", failedExpectations: result.failedExpectations }, "error");
    this.write({ ended: 0 });
    const { passed, failed, skipped, error } = this.counts;
    const ran = passed + failed;
    if (ran + skipped + error === 0) console.log("No specs found");
    console.log(`${ran + skipped} specs, ${failed + error} failures, ${skipped} pending specs`);
  }

  keep(result, outcome) {
    const file = result.filename ? `${result.filename}::` : "";
    const message = outcome === "passed" ? "" : told(result.failedExpectations).slice(0, LONGEST);
    this.counts[outcome] += 1;
    this.write({
      name: `${file}${result.fullName}`,
      outcome,
      message,
      seconds: (result.duration || 0) / 1000,
    });
    if (outcome === "failed" || outcome === "error") {
      console.log(`${result.fullName}: FAILED\n${message}\n`);
    }
  }

  write(record) {
    fs.writeSync(report, `${JSON.stringify(record)}\n`);
  }
}

module.exports = Report;
