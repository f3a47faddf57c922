# Table 1 of the generated cohort by hospital and outcome: mean, SD, quantiles of type 7, counts of levels.
# Called as: Rscript referee/describe.R OUT.json SHARED_DIR (from the project's root)
suppressPackageStartupMessages(library(jsonlite))
out <- commandArgs(TRUE)[1]

d <- read.csv("tests/vectors/statistics/inputs/cohort.csv")
summary_of <- function(x) {
  q <- quantile(x, c(.05, .5, .95), type = 7, names = FALSE)
  list(n = length(x), mean = mean(x), sd = sd(x), p05 = q[1], median = q[2], p95 = q[3],
       below_p05 = sum(x < q[1]), above_p95 = sum(x > q[3]))
}
by_outcome <- function(e, f) list(all = f(e), event = f(e[e$y == 1, ]), `no event` = f(e[e$y == 0, ]))
sets <- c(list(`all hospitals` = d), split(d, d$hospital))
numbers <- lapply(c(age = "age", sbp = "sbp", chol = "chol"), function(v) lapply(sets, by_outcome, function(e) summary_of(e[[v]])))
levels <- lapply(c(male = "male", smoker = "smoker", grade = "grade"),
  function(v) lapply(sets, by_outcome, function(e) as.list(table(factor(e[[v]], sort(unique(d[[v]])))))))
events <- lapply(sets, function(e) as.list(table(factor(e$status, 0:2))))

write_json(list(call = "mean, sd, quantile(type = 7), table by hospital and y; table(status)",
  numbers = numbers, levels = levels, status = events), out, digits = NA, auto_unbox = TRUE, pretty = TRUE)
