# Score tests, families, Cox score tests, multiplicity and heterogeneity of a screen.
# Rscript referee/screening.R OUT.json SHARED_DIR, from the project's root.
suppressMessages({library(statmod); library(survival); library(metafor); library(qvalue); library(jsonlite)})
args <- commandArgs(trailingOnly = TRUE)
shared <- args[2]
tight <- glm.control(epsilon = 1e-15, maxit = 100)
d <- read.csv("tests/vectors/statistics/inputs/cohort.csv", stringsAsFactors = TRUE)
d$g2 <- as.numeric(d$grade == 2); d$g3 <- as.numeric(d$grade == 3)
d$dup <- d$chol + 2 * d$noise
cands <- c("sbp", "chol", "smoker", "noise", "g2", "g3")
set.seed(1)
out <- list()

# --- logistic, one candidate each, hospitals as dummies
base <- glm(y ~ age + male + hospital, binomial, d, control = tight)
z <- sapply(cands, function(c) glm.scoretest(base, d[[c]]))
r <- d$y - fitted(base); w <- fitted(base) * (1 - fitted(base)); X <- model.matrix(base)
uv <- sapply(cands, function(c) { g <- d[[c]]; e <- lm.wfit(X, g, w)$residuals
  c(u = sum(g * r), V = sum(w * e^2), robust = sum(g * r) / sqrt(sum(r^2 * e^2))) })
out$logistic <- list(call = "glm.scoretest(glm(y ~ age + male + hospital, binomial), g)", names = cands,
  z = unname(z), u = unname(uv["u", ]), V = unname(uv["V", ]), z_robust = unname(uv["robust", ]))

# --- families
anova_rao <- function(terms, data = d) {
  small <- glm(y ~ age + male + hospital, binomial, data, control = tight)
  large <- update(small, as.formula(paste(". ~ . +", paste(terms, collapse = "+"))))
  a <- anova(small, large, test = "Rao"); c(chi2 = a$Rao[2], df = a$Df[2], p = a[["Pr(>Chi)"]][2])
}
f <- anova_rao(c("g2", "g3")); f2 <- anova_rao(c("sbp", "chol", "noise"))
out$families <- list(call = "anova(base, update(base, . ~ . + members), test = 'Rao')",
  grade = as.list(f), panel = as.list(f2))

# --- missing values: own rows, own null; rows i (from 0) with (i * 7) %% 5 == 0 or sbp > 150 unknown
miss <- ((seq_len(nrow(d)) - 1) * 7) %% 5 == 0 | d$sbp > 150
own <- d[!miss, ]
own_base <- glm(y ~ age + male + hospital, binomial, own, control = tight)
out$missing <- list(call = "glm.scoretest(glm(y ~ age + male + hospital, binomial, known rows), g[known])",
  names = cands, z = unname(sapply(cands, function(c) glm.scoretest(own_base, own[[c]]))))

# --- Cox
cox <- function(data, ties, formula) {
  small <- coxph(formula, data, ties = ties, control = coxph.control(eps = 1e-12, iter.max = 50))
  list(coef = unname(coef(small)), chi2 = function(c) {
    large <- update(small, as.formula(paste(". ~ . +", paste(c, collapse = "+"))),
      init = c(coef(small), rep(0, length(c))), control = coxph.control(iter.max = 0))
    large$score })
}
run_cox <- function(ties) {
  m <- cox(d, ties, Surv(entry, time, status == 1) ~ age + male + strata(hospital))
  list(coef = m$coef, chi2 = unname(sapply(cands, m$chi2)), grade = m$chi2(c("g2", "g3")))
}
out$cox <- list(call = "update(coxph(Surv(entry, time, status == 1) ~ age + male + strata(hospital)), . ~ . + g, init = c(coef, 0), iter.max = 0)$score",
  names = cands, efron = run_cox("efron"), breslow = run_cox("breslow"))
m <- cox(own, "efron", Surv(entry, time, status == 1) ~ age + male + strata(hospital))
out$cox$own_rows <- list(coef = m$coef, chi2 = unname(sapply(cands, m$chi2)))

w5 <- file.path(shared, "data", "whas500.csv")
if (file.exists(w5)) {
  v <- read.csv(w5); names(v) <- tolower(names(v))
  vc <- intersect(c("hr", "sysbp", "diasbp", "bmi", "cvd", "afb", "sho", "chf", "av3", "miord", "mitype"), names(v))
  w5_run <- function(ties) { m <- cox(v, ties, Surv(lenfol, fstat) ~ age + gender); list(coef = m$coef, chi2 = unname(sapply(vc, m$chi2))) }
  out$whas500 <- list(call = "coxph(Surv(lenfol, fstat) ~ age + gender + g, init = c(coef, 0), iter.max = 0)$score",
    names = vc, efron = w5_run("efron"), breslow = w5_run("breslow"))
}

# --- the panel of admission data, every candidate on its own rows
mi <- file.path(shared, "data", "mi_complications_1700.csv")
if (file.exists(mi)) {
  x <- read.csv(mi); y <- as.integer(x$LET_IS > 0); panel <- setdiff(names(x)[2:112], c("AGE", "SEX"))
  zz <- sapply(panel, function(c) { ok <- !is.na(x[[c]]) & !is.na(x$AGE)
    fit <- suppressWarnings(glm(y[ok] ~ AGE + SEX, binomial, x[ok, ], control = tight))
    glm.scoretest(fit, x[[c]][ok]) })
  regular <- setdiff(panel, c("IBS_NASL", "KFK_BLOOD"))
  # The seven whole-null warnings aside, these two have a separated null: z is an artefact of where glm stops.
  usual <- glm.control()
  zu <- sapply(panel, function(c) { ok <- !is.na(x[[c]]) & !is.na(x$AGE)
    fit <- suppressWarnings(glm(y[ok] ~ AGE + SEX, binomial, x[ok, ], control = usual))
    glm.scoretest(fit, x[[c]][ok]) })
  p <- 2 * pnorm(-abs(zu)); pr <- 2 * pnorm(-abs(zz[regular]))
  out$mi_panel <- list(call = "glm.scoretest(glm(LET_IS > 0 ~ AGE + SEX, binomial, known rows), g[known])",
    names = regular, z = unname(zz[regular]), separated = c("IBS_NASL", "KFK_BLOOD"),
    bh_hits_of_109 = sum(p.adjust(p, "BH") < 0.05),
    pi0_call = "qvalue(p, lambda = seq(0, 0.9, 0.05))$pi0 on all 109, glm's usual tolerance",
    pi0_of_109 = qvalue(p, lambda = seq(0, 0.9, 0.05))$pi0,
    bh_hits = sum(p.adjust(pr, "BH") < 0.05), pi0 = qvalue(pr)$pi0,
    pi0_old_grid = qvalue(pr, lambda = seq(0, 0.9, 0.05))$pi0)
}

# --- multiplicity on fixed p-values
i <- 1:60
p <- c(((i * 37) %% 61) / 61, 1e-12, 3e-5, 3e-5, 0.0004, 0.002, 0.01, 0.0100001, 1)
out$multiplicity <- list(call = "p.adjust(p, method); qvalue(p, lambda = 0.5); qvalue(p)", p = p,
  bonferroni = p.adjust(p, "bonferroni"), bh = p.adjust(p, "BH"), by = p.adjust(p, "BY"),
  pi0_half = qvalue(p, lambda = 0.5)$pi0, q_half = qvalue(p, lambda = 0.5)$qvalues,
  pi0_smoother = qvalue(p)$pi0, q_smoother = qvalue(p)$qvalues)

# --- calibration
chi2 <- qchisq(ppoints(101), 1) * 1.3
out$calibration <- list(call = "median(chi2) / qchisq(0.5, 1); qbeta(c(.025, .975), i, m + 1 - i)",
  z = sqrt(chi2), lambda_gc = median(chi2) / qchisq(0.5, 1),
  low = -log10(qbeta(0.975, 1:101, 101:1)), high = -log10(qbeta(0.025, 1:101, 101:1)))

# --- heterogeneity
beta <- c(0.5, 0.1, -0.2, 0.9); v <- c(0.04, 0.02, 0.09, 0.05)
het <- function(beta, v) { dl <- rma(beta, v, method = "DL"); re <- rma(beta, v, method = "REML", control = list(threshold = 1e-14, maxiter = 1000))
  list(beta = beta, v = v, Q = dl$QE, p = dl$QEp, I2 = max(0, (dl$QE - dl$k + 1) / dl$QE), tau2_dl = dl$tau2, tau2_reml = re$tau2) }
out$heterogeneity <- list(call = "rma(beta, v, method = 'DL' / 'REML')", varied = het(beta, v), alike = het(c(0.5, 0.51, 0.49, 0.5), v))

# --- refit of a hit: full model with hospitals
full <- glm(y ~ age + male + sbp + hospital, binomial, d, control = tight)
out$refit <- list(call = "glm(y ~ age + male + sbp + hospital, binomial)", beta = unname(coef(full)["sbp"]),
  se = unname(sqrt(vcov(full)["sbp", "sbp"])), sd = sd(d$sbp))

write_json(out, args[1], digits = I(17), auto_unbox = TRUE, pretty = TRUE)
