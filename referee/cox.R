# Cox regression by survival::coxph on the generated cohort and on whas500. Called as: Rscript referee/cox.R OUT.json SHARED_DIR
suppressPackageStartupMessages(library(survival))
arguments <- commandArgs(trailingOnly = TRUE)
cohort <- read.csv("tests/vectors/statistics/inputs/cohort.csv", stringsAsFactors = FALSE)
TERMS <- "age + male + sbp + chol + smoker + noise"
SAMPLE <- c(1, 2, 3, 50, 400, 777, 1200)

fit_of <- function(call) eval(parse(text = call), envir = globalenv())
named <- function(values) as.list(values)

summary_of <- function(call) {
  fit <- fit_of(call)
  list(
    call = call, coef = named(coef(fit)), se = named(sqrt(diag(if (is.null(fit$naive.var)) fit$var else fit$naive.var))),
    loglik_null = fit$loglik[1], loglik = fit$loglik[2], score = fit$score, n = fit$n, events = fit$nevent
  )
}

zph_of <- function(fit, transform) {
  table <- cox.zph(fit, transform = transform)$table
  list(call = paste0('cox.zph(fit, transform = "', transform, '")'), chisq = named(table[, "chisq"]), df = named(table[, "df"]), p = named(table[, "p"]))
}

residuals_of <- function(call, data = cohort) {
  fit <- fit_of(call)
  score <- residuals(fit, type = "score")
  schoenfeld <- residuals(fit, type = "schoenfeld")
  scaled <- residuals(fit, type = "scaledsch")
  martingale <- residuals(fit)
  list(
    call = paste("fit <-", call, "; residuals(fit, type = ...)"),
    rows = SAMPLE, martingale = unname(martingale[SAMPLE]), score = unname(score[SAMPLE, ]),
    martingale_abs_sum = sum(abs(martingale)), score_abs_sums = named(colSums(abs(score))),
    schoenfeld_first = unname(schoenfeld[1, ]), schoenfeld_abs_sums = named(colSums(abs(schoenfeld))),
    scaled_abs_sums = named(colSums(abs(scaled)))
  )
}

robust_of <- function(call) {
  fit <- fit_of(call)
  list(call = call, robust_se = named(sqrt(diag(fit$var))), covariance = unname(fit$var))
}

curves_of <- function(call, person, times) {
  fit <- fit_of(call)
  baseline <- basehaz(fit, centered = FALSE)
  strata <- unique(baseline$strata)
  at <- function(stratum) {
    own <- baseline[baseline$strata == stratum, ]
    c(0, own$hazard)[findInterval(times, own$time) + 1]
  }
  curve <- summary(survfit(fit, newdata = person), times = times, extend = TRUE)
  first <- curve$strata == levels(curve$strata)[1]
  list(
    call = paste("fit <-", call, "; basehaz(fit, centered = FALSE); summary(survfit(fit, newdata), times, extend = TRUE)"),
    times = times, person = as.list(person), cumulative_hazard = setNames(lapply(strata, at), sub("hospital=", "", strata)),
    survival = curve$surv[first], std_err_of_survival = curve$std.err[first], lower = curve$lower[first], upper = curve$upper[first]
  )
}

model <- function(left, right, ...) sprintf("coxph(%s ~ %s%s, data = cohort, %s)", left, TERMS, right, paste(c(...), collapse = ", "))
DELAYED <- "Surv(entry, time, status == 1)"
PLAIN <- "Surv(time, status == 1)"
BOTH <- " + strata(hospital)"
EXACT <- "x = TRUE, y = TRUE, eps = 1e-13, toler.chol = 1e-15, iter.max = 60"

fits <- list(
  plain_efron = model(PLAIN, "", "ties = 'efron'", EXACT),
  plain_breslow = model(PLAIN, "", "ties = 'breslow'", EXACT),
  strata_efron = model(PLAIN, BOTH, "ties = 'efron'", EXACT),
  delayed_efron = model(DELAYED, "", "ties = 'efron'", EXACT),
  delayed_breslow = model(DELAYED, "", "ties = 'breslow'", EXACT),
  delayed_strata_efron = model(DELAYED, BOTH, "ties = 'efron'", EXACT),
  delayed_strata_breslow = model(DELAYED, BOTH, "ties = 'breslow'", EXACT),
  delayed_two_strata_efron = model(DELAYED, " - male + strata(hospital, male)", "ties = 'efron'", EXACT),
  competing_efron = model("Surv(entry, time, status == 2)", BOTH, "ties = 'efron'", EXACT)
)
rows <- "cluster = seq_len(nrow(cohort))"
person <- data.frame(age = 60, male = 1, sbp = 140, chol = 6, smoker = 1, noise = 0, hospital = "a")

factors <- fit_of(sprintf("coxph(%s ~ age + factor(grade) + strata(hospital), data = cohort, ties = 'efron', %s)", DELAYED, EXACT))
out <- list(
  fits = lapply(fits, summary_of),
  zph = lapply(list(
    plain_efron = c("plain_efron", "km"), plain_breslow = c("plain_breslow", "identity"), delayed_efron = c("delayed_efron", "km"),
    delayed_strata_efron = c("delayed_strata_efron", "km"), delayed_strata_breslow = c("delayed_strata_breslow", "identity")
  ), function(choice) zph_of(fit_of(fits[[choice[1]]]), choice[2])),
  zph_grade = zph_of(factors, "km"),
  residuals = lapply(fits[c("plain_efron", "plain_breslow", "delayed_strata_efron", "delayed_strata_breslow")], residuals_of),
  robust = list(
    plain_efron = robust_of(model(PLAIN, "", "ties = 'efron'", rows, EXACT)),
    delayed_strata_efron = robust_of(model(DELAYED, BOTH, "ties = 'efron'", rows, EXACT)),
    delayed_strata_breslow = robust_of(model(DELAYED, BOTH, "ties = 'breslow'", rows, EXACT)),
    hospital_efron = robust_of(model(DELAYED, "", "ties = 'efron'", "cluster = hospital", EXACT)),
    chol_cluster_strata_efron = robust_of(model(DELAYED, BOTH, "ties = 'efron'", "cluster = floor(10 * chol)", EXACT))
  ),
  curves = list(
    delayed_strata_efron = curves_of(fits$delayed_strata_efron, person, c(100, 500, 1000, 2000)),
    delayed_strata_breslow = curves_of(fits$delayed_strata_breslow, person, c(100, 500, 1000, 2000))
  ),
  R = R.version.string, survival = as.character(packageVersion("survival"))
)
jsonlite::write_json(out, arguments[1], digits = NA, auto_unbox = TRUE, pretty = TRUE)
