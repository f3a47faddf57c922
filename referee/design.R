# Restricted cubic splines, factors, their interactions and tests, and sample-size criteria, by R.
# Called as: Rscript referee/design.R OUT.json SHARED_DIR
suppressPackageStartupMessages({library(rms); library(lmtest); library(jsonlite)})
out <- commandArgs(TRUE)[1]
d <- read.csv("tests/vectors/statistics/inputs/cohort.csv")
tight <- glm.control(epsilon = 1e-15, maxit = 100)
vec <- function(x) as.list(unname(x))
knots <- function(x, nk) unname(rcspline.eval(x, nk = nk, knots.only = TRUE))
grid <- c(60, 80, 100, 115.5, 130, 150, 180, 240)

k5 <- knots(d$sbp, 5)
full <- glm(y ~ rcs(sbp, k5) + age + hospital, binomial, d, control = tight)
straight <- glm(y ~ sbp + age + hospital, binomial, d, control = tight)
none <- glm(y ~ age + hospital, binomial, d, control = tight)
lr <- function(big, small) list(chi2 = 2 * as.numeric(logLik(big) - logLik(small)), df = small$df.residual - big$df.residual)
wald_of <- function(m, rows) { b <- coef(m)[rows]; list(chi2 = drop(b %*% solve(vcov(m)[rows, rows], b)), df = length(rows)) }
D <- sweep(rcspline.eval(grid, knots = k5, inclx = TRUE), 2, drop(rcspline.eval(c(120, 121), knots = k5, inclx = TRUE)[1, ]))

k4 <- knots(d$age, 4)
both <- glm(y ~ rcs(age, k4) * factor(grade) + male, binomial, d, control = tight)
inter <- grep(":", names(coef(both)))
main_order <- c(1, grep("^rcs\\(age, k4\\)age'*$", names(coef(both))), grep("^factor\\(grade\\)[23]$", names(coef(both))), which(names(coef(both)) == "male"), inter)

# Riley's criteria by search instead of the closed forms.
shrink_n <- function(p, r2, s) ceiling(uniroot(function(n) 1 + p / (n * log(1 - r2 / s)) - s, c(1, 1e8), tol = 1e-10)$root)
risk_n <- function(rate, fu, t) { n <- 1; repeat { T <- n * fu; half <- 1.96 * sqrt(rate / T); r <- 1 - exp(-rate * t)
  if (max(1 - exp(-(rate + half) * t) - r, r - (1 - exp(-(rate - half) * t))) <= 0.05) return(n); n <- n + 1 } }
max_b <- function(phi) { ll <- phi * log(phi) + (1 - phi) * log(1 - phi); 1 - exp(2 * ll) }
max_s <- function(e) 1 - exp(2 * (e * log(e) - e))
binary <- function(p, phi, r2) { m <- max_b(phi); list(shrinkage = shrink_n(p, r2, 0.9), optimism = shrink_n(p, r2, r2 / (r2 + 0.05 * m)),
  overall = ceiling((1.96 / 0.05)^2 * phi * (1 - phi)), max_r2 = m) }
survival_n <- function(p, rate, fu, t, r2) { m <- max_s(rate * fu); list(shrinkage = shrink_n(p, r2, 0.9), optimism = shrink_n(p, r2, r2 / (r2 + 0.05 * m)),
  overall = risk_n(rate, fu, t), max_r2 = m) }

write_json(list(
  made_by = R.version.string,
  knots = list(call = "Hmisc::rcspline.eval(x, nk = 3..7, knots.only = TRUE), x = sbp, age; small = age[1:60]",
    sbp = lapply(3:7, function(k) knots(d$sbp, k)), age = lapply(3:7, function(k) knots(d$age, k)),
    small = lapply(3:7, function(k) knots(d$age[1:60], k))),
  basis = list(call = "Hmisc::rcspline.eval(grid, knots = k5, inclx = TRUE, norm = 2)", grid = grid,
    columns = unname(unclass(rcspline.eval(grid, knots = k5, inclx = TRUE, norm = 2)[, ]))),
  spline = list(call = "full <- glm(y ~ rcs(sbp, k5) + age + hospital, binomial); Wald b' V^-1 b; anova(, test = 'LRT'); D b and sqrt(diag(D V D')) against 120",
    coef = vec(coef(full)), se = vec(sqrt(diag(vcov(full)))),
    wald_overall = wald_of(full, 2:5), wald_nonlinear = wald_of(full, 3:5),
    lr_overall = lr(full, none), lr_nonlinear = lr(full, straight),
    curve = vec(drop(D %*% coef(full)[2:5])), curve_se = vec(sqrt(diag(D %*% vcov(full)[2:5, 2:5] %*% t(D))))),
  interaction = list(call = "glm(y ~ rcs(age, k4) * factor(grade) + male, binomial); joint Wald of the products; of all columns with age",
    names = names(coef(both))[main_order], coef = vec(coef(both)[main_order]), se = vec(sqrt(diag(vcov(both)))[main_order]),
    joint = wald_of(both, inter), total_age = wald_of(both, grep("age", names(coef(both))))),
  adequacy = list(call = "uniroot on S = 1 + p / (n log(1 - R2 / S)); search of n for the margin 0.05 of 1 - exp(-rate t)",
    binary_24 = binary(24, 0.174, 0.288), binary_10 = binary(10, 0.05, 0.04), binary_half = binary(30, 0.5, 0.1),
    survival_30 = survival_n(30, 0.065, 2.07, 2, 0.051), survival_8 = survival_n(8, 0.02, 5, 10, 0.03))
), out, digits = I(17), auto_unbox = TRUE, pretty = TRUE)
